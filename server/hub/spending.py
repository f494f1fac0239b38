"""What users spend at this node, told to the buckets of the whole cluster.

Sends are allowed or refused by this node's own buckets, at once and in order. What was spent is
debited behind them, and an empty bucket of the cluster empties ours: over time a user has one rate
however many nodes his sockets are at. At each node at most a full bucket, and what refills it until
the answer comes, is spent before: a burst over N nodes is up to N bursts, then the debt is waited
off.
"""

from __future__ import annotations

import asyncio

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.limits import Buckets
from server.kernel.tasks import TaskOwner
from storage.api import SharedLimits, Spend

OFTEN_S = 0.1
SELDOM_S = 1.0
"""Whoever spent little is told of only this often: it costs the others less than it tells them."""

MUCH = 1 / 8
"""Of a full bucket: spent since last told, it is told at the next OFTEN_S."""

MAX_WAITING = 50_000
"""Keys; past it, while the shared store is away, what was spent is forgotten."""


class Spending:
    """`spent` is a plain call. `buckets`: those that the names in `spent` stand for."""

    def __init__(
        self, limits: SharedLimits, buckets: dict[str, Buckets], *, clock: Clock, tasks: TaskOwner
    ) -> None:
        self._limits = limits
        self._buckets = buckets
        self._clock = clock
        self._tasks = tasks
        self._counts: dict[tuple[str, str], int] = {}
        self._told_at = float("-inf")
        self._running = False

    def spent(self, name: str, key: str) -> None:
        counts, place = self._counts, (name, key)
        counts[place] = counts.get(place, 0) + 1
        if not self._running and self._buckets[name].rate_per_s > 0:
            self._running = True
            self._tasks.start(self._run(), "spending")

    async def _run(self) -> None:
        try:
            while self._counts:
                await asyncio.sleep(OFTEN_S)
                await self.tell()
        finally:
            self._running = False

    async def tell(self) -> None:
        """Debit what is due, and empty the buckets of those who spent too much."""
        now = self._clock.monotonic()
        everything = now - self._told_at >= SELDOM_S
        if everything:
            self._told_at = now
        due = [place for place, n in self._counts.items() if everything or self._is_much(place, n)]
        if not due:
            return
        spends = [self._spend(place, self._counts.pop(place)) for place in due]
        try:
            waits = await self._limits.debit(spends)
        except Unavailable:
            self._keep(due, spends)
            return
        now = self._clock.monotonic()
        for (name, key), wait in zip(due, waits, strict=True):
            if wait > 0:
                self._buckets[name].hold(key, now, wait)

    def _is_much(self, place: tuple[str, str], n: int) -> bool:
        return n >= self._buckets[place[0]].burst * MUCH

    def _spend(self, place: tuple[str, str], n: int) -> Spend:
        buckets = self._buckets[place[0]]
        return Spend(f"{place[0]}:{place[1]}", buckets.rate_per_s, buckets.burst, float(n))

    def _keep(self, due: list[tuple[str, str]], spends: list[Spend]) -> None:
        """To be told later; not more than a full bucket, which is what it would refuse anyway."""
        for place, spend in zip(due, spends, strict=True):
            if len(self._counts) < MAX_WAITING or place in self._counts:
                both = self._counts.get(place, 0) + int(spend.n)
                self._counts[place] = min(both, int(spend.burst))
