"""Deadlines of very many things at the price of one timer of the event loop.

A thing stands in the bucket of one tick. When its deadline moves later nothing happens until the
tick comes; then it goes into a later bucket. So a ping and its pong cost no timer at all.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import Protocol

TICK_S = 0.02
"""Coarse enough to share wake-ups, fine enough for pings 300 ms apart."""


class Timed(Protocol):
    """`scheduled` belongs to `Deadlines`: the tick in which the thing stands, 0 for none."""

    scheduled: int

    def next_deadline(self) -> float | None: ...

    def tick(self, now: float) -> None: ...


class Deadlines:
    """Buckets of things by tick; no clock. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[Timed]] = {}
        self._ticks: list[int] = []

    def watch(self, thing: Timed) -> None:
        """Call it once, and again only when the deadline has come nearer."""
        at = thing.next_deadline()
        if at is None:
            return
        tick = math.ceil(at / TICK_S)
        if 0 < thing.scheduled <= tick:
            return
        thing.scheduled = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [thing]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append(thing)

    def run(self, now: float) -> None:
        """Tick everything that is due and put it where it belongs next."""
        while self._ticks and self._ticks[0] * TICK_S <= now:
            tick = heapq.heappop(self._ticks)
            for thing in self._buckets.pop(tick):
                if thing.scheduled != tick:
                    continue
                thing.scheduled = 0
                at = thing.next_deadline()
                if at is not None and at <= now:
                    thing.tick(now)
                self.watch(thing)

    def next(self) -> float | None:
        return self._ticks[0] * TICK_S if self._ticks else None

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))


class SharedTimer:
    """Drives `Deadlines` by one timer of the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf

    def time(self) -> float:
        return self._loop.time()

    def watch(self, thing: Timed) -> None:
        self._deadlines.watch(thing)
        self._arm()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._wakes_at = -math.inf

    def _arm(self) -> None:
        at = self._deadlines.next()
        if at is None or at >= self._wakes_at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._wakes_at = at
        self._handle = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._handle = None
        self._wakes_at = math.inf
        self._deadlines.run(self._loop.time() + TICK_S / 4)
        self._arm()
