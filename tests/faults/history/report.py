"""What a checker found, and the numbers that say how much it saw."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field

KEPT = 20
"""Violations told of each rule; the rest are only counted."""


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept. `rule` is one of `RULES`."""

    rule: str
    room: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: room {self.room}: {self.text}"


RULES = {
    "lost": "what was acknowledged or seen is in the log, where the answer said",
    "double": "a client id made one event",
    "hole": "seqs run from 1 to the head",
    "order": "a seq is the same event for all, and the log follows the order of answers",
    "changed": "a row changes by blanking only, and only when asked",
    "stale": "who reads after an answer sees at least what it answered",
    "ascend": "live events of a connection ascend by 1 in each room",
    "resume": "sync and live events of a connection together miss nothing",
    "answer": "a repeated client id gets the first answer",
    "ghost": "what was refused is not in the log, and what is in the log was asked for",
    "unread": "the log was read to its end after the run",
}


@dataclass
class Report:
    violations: list[Violation] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, float] = field(default_factory=dict)

    def add(self, rule: str, room: str, text: str) -> None:
        assert rule in RULES
        self.broken[rule] += 1
        if self.broken[rule] <= KEPT:
            self.violations.append(Violation(rule, room, text))

    @property
    def good(self) -> bool:
        return not self.broken

    def __str__(self) -> str:
        lines = [f"  {name:34} {value:>12,.10g}" for name, value in self.numbers.items()]
        lines += [f"  BROKEN {rule}: {count}" for rule, count in sorted(self.broken.items())]
        return "\n".join([*lines, *(f"    {violation}" for violation in self.violations)])


class Times:
    """How long answers took, and how long there were none at all."""

    def __init__(self) -> None:
        self._waits: list[int] = []
        self._answers: list[int] = []

    def answered(self, asked: int, t: int) -> None:
        self._waits.append(t - asked)
        self._answers.append(t)

    def numbers(self) -> dict[str, float]:
        if not self._waits:
            return {}
        waits, answers = sorted(self._waits), sorted(self._answers)
        gaps = [later - t for t, later in itertools.pairwise(answers)]
        seconds = (answers[-1] - answers[0]) / 1e9 or 1.0
        return {
            "answers a second": round(len(answers) / seconds, 1),
            "answer ms p50": waits[len(waits) // 2] / 1e6,
            "answer ms p99": waits[int(len(waits) * 0.99)] / 1e6,
            "answer ms max": waits[-1] / 1e6,
            "longest silence ms": max(gaps, default=0) / 1e6,
        }
