"""The order of the examination, and its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from server.cli.doctor import machine, media, ringing, stores, trips
from server.cli.doctor.findings import Finding, Teller
from server.cli.terms import say
from server.kernel.config import Config
from server.kernel.logs import configure_logs


def examine(config: Config) -> int:
    """Print the findings; the exit code is 1 when something is wrong."""
    if config.logging.level != "debug":
        quiet = msgspec.structs.replace(config.logging, level="error")
        config = msgspec.structs.replace(config, logging=quiet)
    configure_logs(config.logging.level, config.logging.format)
    marks: Counter[str] = Counter()
    teller = Teller()
    for finding in _findings(config):
        teller.tell(finding)
        marks[finding.mark] += 1
    say(_summary(marks["WRONG"], marks["warn"]))
    return 1 if marks["WRONG"] else 0


def _findings(config: Config) -> Iterator[Finding]:
    yield Finding("configuration", "ok", f"read; registration is {config.registration}")
    if config.clustered:
        yield from asyncio.run(stores.answer(config))
    else:
        yield machine.folder(Path(config.server.data))
        yield machine.disk(Path(config.server.data))
    runs = asyncio.run(machine.is_running(config))
    yield machine.port(config, runs=runs)
    yield machine.clock()
    yield machine.open_files()
    yield from trips.round_trips(config)
    if config.media.enabled:
        yield from ringing.rings(config)
    if config.has_role("media"):
        yield from media.examined(config, runs=runs)


def _summary(wrong: int, warned: int) -> str:
    more = f" {warned} {'warning' if warned == 1 else 'warnings'}." if warned else ""
    return (f"{wrong} to look at." if wrong else "Nothing is wrong.") + more
