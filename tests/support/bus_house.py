"""A worker on a bus in memory under a virtual clock, and a handler that does as it is told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from server.bus.handlers import Handler, Verdict
from server.bus.worker import Worker
from server.kernel.clock import Virtual
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Fact
from storage.memory.bus import MemoryBus

Behave = Callable[[Sequence[Fact]], Verdict]


class Clerk:
    """`heard`: each call's seqs, with the time. `once`: what an idempotent handler would keep."""

    def __init__(self, clock: Virtual) -> None:
        self.behave: Behave = lambda facts: None
        self.hold: asyncio.Event | None = None
        self.heard: list[list[Any]] = []
        self.times: dict[Any, list[float]] = defaultdict(list)
        self.once: dict[str, int] = {}
        self._clock = clock

    async def handle(self, facts: Sequence[Fact]) -> Verdict:
        seqs = [fact.data["seq"] for fact in facts]
        self.heard.append(seqs)
        for seq in seqs:
            self.times[seq].append(self._clock.monotonic())
        if self.hold is not None:
            await self.hold.wait()
        verdict = self.behave(facts)
        if verdict is None:
            for fact in facts:
                self.once.setdefault(fact.id, len(self.once))
        return verdict


class WorkerHouse:
    def __init__(self, bus: Bus, clock: Virtual, **given: Any) -> None:
        self.bus, self.clock = bus, clock
        self.tasks = TaskOwner("test")
        self.clerk = Clerk(clock)
        attempts = given.pop("attempts", 8)
        self.handler = Handler("push", ("*",), self.clerk.handle, **given)
        self.worker = self.another(attempts)

    def another(self, attempts: int = 8) -> Worker:
        return Worker(
            self.bus, self.handler, consumer="w", attempts=attempts, clock=self.clock,
            tasks=self.tasks, chance=lambda: 0.5,
        )  # fmt: skip

    async def works(self) -> None:
        """Until nothing is there to take now."""
        while await self.worker.turn():
            await self.worker.settled()

    async def passes(self, seconds: float, step_s: float = 1.0) -> None:
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            await self.works()


@asynccontextmanager
async def worker_house(**given: Any) -> AsyncIterator[WorkerHouse]:
    clock = Virtual()
    house = WorkerHouse(MemoryBus(clock), clock, **given)
    await house.worker.join()
    try:
        yield house
    finally:
        await house.worker.close(0)
        await house.tasks.close()
