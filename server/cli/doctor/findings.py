"""What the doctor found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from server.cli.terms import say

Mark = Literal["ok", "warn", "WRONG"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do when it is not ok. A warning is not wrong: the server works, but
    perhaps not for everybody.
    """

    name: str
    mark: Mark
    seen: str
    advice: str = ""


def ok(name: str, seen: str) -> Finding:
    return Finding(name, "ok", seen)


def warn(name: str, seen: str, advice: str) -> Finding:
    return Finding(name, "warn", seen, advice)


def wrong(name: str, seen: str, advice: str) -> Finding:
    return Finding(name, "WRONG", seen, advice)


def tell(finding: Finding) -> None:
    say(f"{finding.mark:<5}  {finding.name}: {finding.seen}")
    if finding.advice:
        say(f"       {finding.advice}")


class Stopwatch:
    ms = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """`ms` is set at the end of the block."""
    watch, began = Stopwatch(), perf_counter()
    yield watch
    watch.ms = (perf_counter() - began) * 1000
