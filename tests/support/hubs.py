"""Hubs of a cluster as processes of their own, with a clock that can be set wrong."""

from __future__ import annotations

import glob
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec

from server.kernel.config import NO_LIMITS
from tests.support.process import ROOT
from tests.support.servers.base import Missing, Process, apt_install, free_port

START_S = 60.0
FREE = {f"HUBBUB_LIMITS__{name.upper()}": str(value) for name, value in NO_LIMITS.items()}


def environment(**sections: msgspec.Struct) -> dict[str, str]:
    """`environment(redis=Redis(...))`: the HUBBUB_* variables that say what differs from the
    defaults."""
    variables = {}
    for section, settings in sections.items():
        usual = type(settings)()
        for name in settings.__struct_fields__:
            value = getattr(settings, name)
            if value != getattr(usual, name):
                text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                variables[f"HUBBUB_{section.upper()}__{name.upper()}"] = text
    return variables


class Hub:
    """`hubbub serve` on a port that it keeps from start to start."""

    def __init__(
        self, name: str, folder: Path, env: Mapping[str, str], *, clock: bool = False
    ) -> None:
        """`clock`: its clock can be set, by libfaketime. Raises Missing."""
        self.name = name
        self.port = free_port()
        self.folder = folder / name
        self.folder.mkdir()
        self._clock = self.folder / "clock"
        command = [
            sys.executable, "-m", "server.main", "serve", "--host", "127.0.0.1",
            "--port", str(self.port), "--data", str(self.folder / "data"),
        ]  # fmt: skip
        own = {"PYTHONPATH": str(ROOT), "HUBBUB_LOGGING__FORMAT": "json", **env}
        if clock:
            self.set_clock(0)
            own |= self._faketime()
        self.process = Process(name, command, self.folder, env=own)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process.start(self.answers, within_s=START_S)

    def answers(self) -> bool:
        return self._get("/healthz")

    def ready(self) -> bool:
        return self._get("/readyz")

    def set_clock(self, ahead_s: int) -> None:
        """Within a second its wall clock is so far from everybody else's; time goes on evenly for
        what measures durations."""
        self._clock.write_text(f"{ahead_s:+d}", "utf-8")

    def _get(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _faketime(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": libfaketime(), "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }  # fmt: skip


def libfaketime() -> str:
    """Raises Missing."""
    where = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
    for attempt in range(2):
        found = [path for pattern in where for path in glob.glob(pattern)]
        if found:
            return os.path.realpath(found[0])
        if attempt == 0 and not apt_install("faketime"):
            break
    raise Missing("install the package faketime")
