"""Hands facts to the bus without making anybody wait, and keeps them while it cannot take them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Fact

MOST_KEPT = 100_000
"""About 60 MB; past it the oldest are lost, counted and logged."""
AT_ONCE = 500
AGAIN_S = 0.2
LONGEST_AGAIN_S = 2.0

log = get_logger(__name__)


class Teller:
    """`tell` never waits nor raises; what one loop turn tells leaves together."""

    def __init__(self, bus: Bus, tasks: TaskOwner, *, most: int = MOST_KEPT) -> None:
        self.lost = 0
        self._bus = bus
        self._tasks = tasks
        self._most = most
        self._kept: deque[Fact] = deque()
        self._going: list[Fact] = []
        self._run: asyncio.Task[None] | None = None

    @property
    def kept(self) -> int:
        """Facts that the bus has not taken yet."""
        return len(self._kept) + len(self._going)

    def tell(self, facts: Sequence[Fact], *, after: asyncio.Future[Any] | None = None) -> None:
        """`after`: see `Bus.publish`; call it in the loop turn of the append, not later."""
        wanted = [fact for fact in facts if self._bus.wants(fact.name)]
        if not wanted:
            return
        if after is None:
            self._keep(wanted)
            return
        try:
            told = asyncio.ensure_future(self._bus.publish(wanted, after=after))
        except Unavailable:  # the store that refuses this refuses the append too
            return
        told.add_done_callback(partial(self._told, wanted, after))

    async def close(self, grace_s: float) -> None:
        """Publish what is kept, for so long. What remains is counted as lost."""
        if self._run is not None and not self._run.done():
            await asyncio.wait({self._run}, timeout=grace_s)
            self._run.cancel()
            await asyncio.wait({self._run})
        if self.kept:
            self._lose(self.kept)

    def _told(
        self, facts: Sequence[Fact], after: asyncio.Future[Any], told: asyncio.Future[None]
    ) -> None:
        if told.cancelled() or told.exception() is None:
            return
        appended = after.done() and not after.cancelled() and after.exception() is None
        if appended and after.result() is None:
            self._keep(facts)

    def _keep(self, facts: Sequence[Fact]) -> None:
        self._kept.extend(facts)
        over = min(self.kept - self._most, len(self._kept))
        if over > 0:
            for _ in range(over):
                self._kept.popleft()
            self._lose(over)
        if self._run is None or self._run.done():
            self._run = self._tasks.start(self._publish_all(), "bus.tell")

    def _lose(self, count: int) -> None:
        self.lost += count
        log.error("bus.facts_lost", facts=count, kept=self.kept)

    async def _publish_all(self) -> None:
        pause = AGAIN_S
        while self._kept or self._going:
            while self._kept and len(self._going) < AT_ONCE:
                self._going.append(self._kept.popleft())
            try:
                await self._bus.publish(self._going)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_AGAIN_S)
                continue
            pause = AGAIN_S
            self._going.clear()
