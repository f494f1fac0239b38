"""A real server as a process of its own, for scenarios and browser tests."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTENING = re.compile(r"listening on (http://\S+)")
START_S = 60.0
STOP_S = 15.0


@dataclass
class Running:
    """`with start_server(tmp_path) as server: server.base_url`. Ends with its block."""

    base_url: str
    process: subprocess.Popen[str]
    log_path: Path
    printed: list[str]

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return int(self.base_url.rsplit(":", 1)[1])

    def stop(self) -> int:
        """SIGTERM, then SIGKILL to this one process; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def kill(self) -> int:
        """kill -9."""
        self.process.kill()
        return self.process.wait()


def start_server(
    folder: Path,
    *arguments: str,
    command: str = "serve",
    port: int = 0,
    env: Mapping[str, str] | None = None,
) -> Running:
    """Start `python -m server.main serve --data FOLDER --port N ...` and wait until it listens."""
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder.parent / f"{folder.name}.log"
    line = [
        sys.executable, "-m", "server.main", command, "--data", str(folder), "--port", str(port),
        *arguments,
    ]  # fmt: skip
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            line, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
            env={**os.environ, "HUBBUB_LOGGING__FORMAT": "json", **(env or {})},
        )  # fmt: skip
    printed: list[str] = []
    address = _wait_for_address(process, printed)
    if address is None:
        process.kill()
        process.wait()
        raise RuntimeError(f"the server did not start: {printed} {log_path.read_text()[-4000:]}")
    return Running(address, process, log_path, printed)


def _wait_for_address(process: subprocess.Popen[str], printed: list[str]) -> str | None:
    assert process.stdout is not None
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up:
        readable, _, _ = select.select([process.stdout], [], [], give_up - time.monotonic())
        text = process.stdout.readline() if readable else ""
        if not text:
            return None
        printed.append(text.rstrip("\n"))
        found = LISTENING.search(text)
        if found:
            return found.group(1)
    return None
