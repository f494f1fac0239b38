"""The workers of `tests.support.worker_server` as processes, and what they say of themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import ROOT
from tests.support.servers.base import Process, server_folder

LISTENING = re.compile(r"listening on (http://\S+)")
READY_S = 60.0


class Workers:
    """`url`, and each worker's own counts."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.loop = "uvloop"

    @property
    def url(self) -> str:
        found = LISTENING.search(self.process.tail())
        assert found is not None, self.process.tail()
        return found.group(1)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stats(self, count: int) -> dict[int, dict[str, Any]]:
        """By process id; asks until each of `count` workers has answered."""
        seen: dict[int, dict[str, Any]] = {}
        for _ in range(60 * count):
            with urllib.request.urlopen(f"{self.url}/stats", timeout=5) as answer:
                one = json.load(answer)
            seen[one["pid"]] = one
            if len(seen) == count:
                return seen
        raise AssertionError(f"{len(seen)} of {count} workers answer")

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = self.process.log.read_text("utf-8").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in told if line["event"] == event]


def until(happened: Callable[[], object], within_s: float = 10.0) -> None:
    give_up = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def worker_processes(*arguments: str, beside: Workers | None = None) -> Iterator[Workers]:
    """Ends them with its block. `beside`: on the port of these, as their successor."""
    if beside is not None:
        arguments = (*arguments, "--port", str(beside.port))
    with server_folder("ports") as folder:
        runtime = folder if beside is None else beside.process.folder
        process = Process(
            "workers",
            [sys.executable, "-m", "tests.support.worker_server", *arguments],
            folder,
            env={"PYTHONPATH": f"{ROOT}:{ROOT}/clients/python", "XDG_RUNTIME_DIR": str(runtime)},
        )
        workers = Workers(process)
        process.start(lambda: LISTENING.search(process.tail()), within_s=READY_S)
        try:
            yield workers
        finally:
            process.stop()


def many_clients(url: str, count: int, mode: str, connections: str) -> dict[str, Any]:
    script = Path(__file__).parents[1] / "workers" / "many_clients.mjs"
    done = subprocess.run(
        ["node", str(script), url, str(count), mode, connections],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(word) for word in text.split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
