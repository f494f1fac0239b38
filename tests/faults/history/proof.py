"""One run: load, faults, quiet, the logs read, both verdicts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp

from tests.faults.history import porcupine
from tests.faults.history.checker import check
from tests.faults.history.habits import Habits
from tests.faults.history.nemesis import Fault, Nemesis, schedule
from tests.faults.history.record import Record, Writer, read_history
from tests.faults.history.report import Report
from tests.faults.history.stage import Loads, Stage

TAIL_S = 15.0
"""Within this all members have a room's last event without another message."""


class Subject(Protocol):
    """What is put to the proof: hubs at `urls`, and what can happen to them and their stores."""

    @property
    def urls(self) -> Sequence[str]: ...

    @property
    def faults(self) -> Sequence[Fault]: ...

    async def whole(self) -> None:
        """Wait until all parts serve again after the faults."""
        ...

    async def read_store(self, rooms: Iterable[str]) -> Iterable[Record]:
        """`Final` records of source "store", past all hubs; none where that cannot be had."""
        ...


@dataclass(frozen=True)
class Wish:
    """How a run is meant to be. `fill`: messages in the hot room before it begins, so that a bucket
    (4096) is full in the middle of it.
    """

    seed: int
    seconds: float
    people: int = 8
    rooms: int = 5
    processes: int = 2
    fill: int = 0
    habits: Habits = field(default_factory=Habits)
    rest_s: tuple[float, float] = (2.0, 5.0)


@dataclass(frozen=True)
class Outcome:
    """`missing`: logs that a client did not have to their end in time; `unfinished`: commands that
    were not answered after all was healed."""

    wish: Wish
    report: Report
    verdict: porcupine.Verdict
    struck: list[str]
    missing: int
    unfinished: int
    judged_s: float
    histories: Sequence[Path]

    @property
    def good(self) -> bool:
        return self.report.good and self.verdict.good and not self.missing and not self.unfinished

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed {self.wish.seed}, {self.wish.seconds:g} s, {len(self.struck)} faults, "
                f"judged in {self.judged_s:.1f} s: {'GOOD' if self.good else 'BROKEN'}",
                str(self.report),
                f"  {self.verdict}",
                f"  logs that somebody missed the end of: {self.missing}; "
                f"commands without an answer at the end: {self.unfinished}",
            ]
        )


async def prove(
    subject: Subject, wish: Wish, folder: Path, say: Callable[[str], None] = lambda _: None
) -> Outcome:
    judge = porcupine.program()
    say(f"seed {wish.seed}")
    async with aiohttp.ClientSession() as http:
        stage = Stage(subject.urls, http, wish.seed)
        await stage.populate(wish.people, wish.rooms)
        final = Writer(folder / "final.jsonl")
        await stage.fill(wish.fill, final)
        nemesis = Nemesis(
            schedule(subject.faults, wish.seed, rest_s=wish.rest_s), wish.seconds, say
        )
        async with Loads(folder, stage.plans(wish.processes, wish.habits)) as loads:
            await nemesis.run()
            await _patiently(subject.whole, say)
            unfinished = await loads.quiet()
            say("quiet")
            missing = await loads.settle(TAIL_S)
        await stage.read_logs(final)
        for record in await subject.read_store(stage.rooms):
            final.write(record)
        final.close()
    histories = [*loads.histories, folder / "final.jsonl"]
    say("judging")
    began = time.monotonic()
    report = check(read_history(histories))
    verdict = porcupine.judge(judge, histories)
    judged_s = time.monotonic() - began
    return Outcome(wish, report, verdict, nemesis.struck, missing, unfinished, judged_s, histories)


async def _patiently(whole: Callable[[], Awaitable[None]], say: Callable[[str], None]) -> None:
    began = time.monotonic()
    await whole()
    say(f"whole again after {time.monotonic() - began:.1f} s")
