"""Makes of each verdict what the bus is told: done, later, or a dead letter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.bus.handlers import GiveUp, Handler, Retry, Verdict, goes_alone, pause_s
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Delivery
from storage.api.bus import MOST_TAKEN

ALONE_KEPT = 10_000

log = get_logger(__name__)


@dataclass(slots=True)
class Counts:
    delivered: int = 0
    retried: int = 0
    buried: int = 0


class Settling:
    """For one handler. What the bus does not take for want of an answer comes again by itself, when
    its lease is over.
    """

    def __init__(
        self,
        bus: Bus,
        handler: Handler,
        *,
        attempts: int,
        tasks: TaskOwner,
        chance: Callable[[], float],
    ) -> None:
        """`attempts`: after so many a fact is buried. `chance`: 0 to 1, for the pauses."""
        self.counts = Counts()
        self.finishing: asyncio.Task[None] | None = None
        self._bus = bus
        self._group = handler.group
        self._attempts = attempts
        self._tasks = tasks
        self._chance = chance
        self._alone: set[str] = set()
        self._finished: list[str] = []

    def goes_alone(self, delivery: Delivery) -> bool:
        return delivery.handle in self._alone or goes_alone(delivery, self._attempts)

    async def settle(self, part: Sequence[Delivery], verdict: Verdict) -> None:
        try:
            if verdict is None:
                await self._done(part)
            elif isinstance(verdict, Retry):
                await self._retry(part, verdict)
            elif verdict.each or len(part) == 1:
                await self._bury(part, verdict)
            else:
                await self._part(part)
        except Unavailable:
            log.warning("bus.not_settled", group=self._group, facts=len(part))

    async def hand_back(self, part: Sequence[Delivery]) -> None:
        """What was taken and not begun, for anybody at once."""
        try:
            await self._bus.postpone(self._group, {delivery.handle: 0.0 for delivery in part})
        except Unavailable:
            log.warning("bus.not_settled", group=self._group, facts=len(part))

    async def _done(self, part: Sequence[Delivery]) -> None:
        """What is done while others are being marked is marked together with what follows."""
        self._finished += (delivery.handle for delivery in part)
        self._alone.difference_update(delivery.handle for delivery in part)
        if self.finishing is None:
            self.finishing = self._tasks.start(self._finish(), f"bus.{self._group}.finish")
            self.finishing.add_done_callback(self._finish_ended)
        elif len(self._finished) > MOST_TAKEN:
            await asyncio.wait({self.finishing})

    async def _finish(self) -> None:
        while self._finished:
            some, self._finished = self._finished, []
            try:
                await self._bus.done(self._group, some)
            except Unavailable:  # they come again when their leases are over
                log.warning("bus.not_settled", group=self._group, facts=len(some))
            else:
                self.counts.delivered += len(some)

    def _finish_ended(self, task: asyncio.Task[None]) -> None:
        self.finishing = None

    async def _retry(self, part: Sequence[Delivery], verdict: Retry) -> None:
        spent = [delivery for delivery in part if delivery.attempts >= self._attempts]
        again = {
            delivery.handle: max(pause_s(delivery.attempts, self._chance()), verdict.after_s)
            for delivery in part
            if delivery.attempts < self._attempts
        }
        if again:
            await self._bus.postpone(self._group, again)
            self.counts.retried += len(again)
            log.info("bus.postponed", group=self._group, facts=len(again), reason=verdict.reason)
        if spent:
            await self._bury(spent, GiveUp(verdict.reason))

    async def _bury(self, part: Sequence[Delivery], verdict: GiveUp) -> None:
        await self._bus.bury(self._group, part, verdict.reason)
        self._alone.difference_update(delivery.handle for delivery in part)
        self.counts.buried += len(part)
        for name, facts in Counter(delivery.fact.name for delivery in part).items():
            log.warning(
                "bus.buried", group=self._group, fact=name, facts=facts, reason=verdict.reason
            )

    async def _part(self, part: Sequence[Delivery]) -> None:
        """Somebody in it is to blame: they come again at once, each alone."""
        if len(self._alone) > ALONE_KEPT:
            self._alone.clear()
        self._alone.update(delivery.handle for delivery in part)
        await self._bus.postpone(self._group, {delivery.handle: 0.0 for delivery in part})
        self.counts.retried += len(part)
