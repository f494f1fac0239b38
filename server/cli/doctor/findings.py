"""What the doctor found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import fill
from time import perf_counter
from typing import Literal

from server.cli.terms import say

Mark = Literal["ok", "warn", "WRONG"]
INDENT = " " * 7
COLUMNS = 100


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


class Teller:
    """Prints findings; an advice that was given already is not repeated."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def tell(self, finding: Finding) -> None:
        say(f"{finding.mark:<5}  {finding.name}: {finding.seen}")
        if finding.advice:
            advice = "As above." if finding.advice in self._given else finding.advice
            self._given.add(finding.advice)
            say(fill(advice, COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT))


class Stopwatch:
    ms = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """`ms` is set at the end of the block."""
    watch, began = Stopwatch(), perf_counter()
    yield watch
    watch.ms = (perf_counter() - began) * 1000
