"""Takes facts from the bus and has them handled, until each is done or given up.

What it dies with is delivered again when its lease is over; so is what it could not mark as done.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from server.bus.handlers import GiveUp, Handler, Retry, Verdict, batches, goes_alone, pause_s
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Delivery

WAIT_S = 5.0
"""How long a take waits for the first fact."""
AGAIN_S = 1.0
"""Between two tries of a bus that cannot serve."""
ALONE_KEPT = 10_000
MOST_AT_ONCE = 1_000

log = get_logger(__name__)


@dataclass(slots=True)
class Counts:
    delivered: int = 0
    retried: int = 0
    buried: int = 0


class Worker:
    """Runs one handler. `run` is its task; `turn` and `settled` are its steps, for tests."""

    def __init__(
        self,
        bus: Bus,
        handler: Handler,
        *,
        consumer: str,
        attempts: int,
        clock: Clock,
        tasks: TaskOwner,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`attempts`: after so many a fact is buried. `chance`: 0 to 1, for the pauses."""
        self.handler = handler
        self.counts = Counts()
        self._bus = bus
        self._consumer = consumer
        self._attempts = attempts
        self._clock = clock
        self._tasks = tasks
        self._chance = chance
        self._alone: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    async def join(self) -> None:
        await self._bus.join(self.handler.group, self.handler.wants)

    def start(self) -> None:
        self._running = self._tasks.start(self.run(), f"bus.{self.handler.group}")

    async def close(self, grace_s: float) -> None:
        """Take no more; give what is under way `grace_s` to finish. The rest is left to others."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=grace_s)
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def run(self) -> None:
        """Ends only by cancellation: what goes wrong in a step is logged by its owner."""
        while True:
            step = self._tasks.start(self._step(), f"bus.{self.handler.group}.step")
            try:
                await asyncio.wait({step})
            finally:
                step.cancel()
            if step.cancelled() or step.exception() is not None:
                await asyncio.sleep(AGAIN_S)

    async def _step(self) -> None:
        try:
            await self._take_or_join()
        except Unavailable:
            await asyncio.sleep(AGAIN_S)

    async def _take_or_join(self) -> None:
        try:
            await self.turn(WAIT_S)
        except LookupError:  # the bus was not there at our start, or it forgot everything
            log.warning("bus.group_missing", group=self.handler.group)
            await self.join()

    async def turn(self, wait_s: float = 0.0) -> int:
        """Take once and begin with what came, as far as it may be under way. Returns how many."""
        handler = self.handler
        await self._room()
        free = handler.at_once - len(self._under_way)
        taken = await self._bus.take(
            handler.group, self._consumer, limit=min(free * handler.batch, MOST_AT_ONCE),
            wait_s=wait_s, lease_s=handler.lease_s,
        )  # fmt: skip
        last_call = self._clock.monotonic() + handler.lease_s - handler.limit_s
        for part in batches(taken, handler.batch, alone=self._goes_alone):
            await self._room()
            if self._clock.monotonic() > last_call:
                log.debug("bus.left", group=handler.group)
                break
            self._begin(part)
        return len(taken)

    async def settled(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _room(self) -> None:
        while len(self._under_way) >= self.handler.at_once:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, part: Sequence[Delivery]) -> None:
        task = self._tasks.start(self._deliver(part), f"bus.{self.handler.group}.deliver")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _goes_alone(self, delivery: Delivery) -> bool:
        return delivery.handle in self._alone or goes_alone(delivery, self._attempts)

    # ---- one batch ------------------------------------------------------------------------------

    async def _deliver(self, part: Sequence[Delivery]) -> None:
        verdict = await self._ask(part)
        try:
            await self._settle(part, verdict)
        except Unavailable:  # it comes again when the lease is over
            log.warning("bus.not_settled", group=self.handler.group, facts=len(part))

    async def _ask(self, part: Sequence[Delivery]) -> Verdict:
        handler = self.handler
        work = handler.handle([delivery.fact for delivery in part])
        task = self._tasks.start(work, f"bus.{handler.group}.handle")
        try:
            await asyncio.wait({task}, timeout=handler.limit_s)
        finally:
            task.cancel()
        if not task.done():
            return Retry("took too long")
        if task.cancelled():
            return Retry("cancelled")
        crash = task.exception()  # its owner has logged it
        if crash is not None:
            return Retry(f"crashed: {type(crash).__name__}")
        verdict: Verdict = task.result()
        return verdict

    async def _settle(self, part: Sequence[Delivery], verdict: Verdict) -> None:
        if verdict is None:
            await self._done(part)
        elif isinstance(verdict, Retry):
            await self._retry(part, verdict)
        elif verdict.each or len(part) == 1:
            await self._bury(part, verdict)
        else:
            await self._part(part)

    async def _done(self, part: Sequence[Delivery]) -> None:
        await self._bus.done(self.handler.group, [delivery.handle for delivery in part])
        self._alone.difference_update(delivery.handle for delivery in part)
        self.counts.delivered += len(part)

    async def _retry(self, part: Sequence[Delivery], verdict: Retry) -> None:
        spent = [delivery for delivery in part if delivery.attempts >= self._attempts]
        again = {
            delivery.handle: max(pause_s(delivery.attempts, self._chance()), verdict.after_s)
            for delivery in part
            if delivery.attempts < self._attempts
        }
        if again:
            await self._bus.postpone(self.handler.group, again)
            self.counts.retried += len(again)
            log.info(
                "bus.postponed", group=self.handler.group, facts=len(again), reason=verdict.reason
            )
        if spent:
            await self._bury(spent, GiveUp(verdict.reason))

    async def _bury(self, part: Sequence[Delivery], verdict: GiveUp) -> None:
        await self._bus.bury(self.handler.group, part, verdict.reason)
        self._alone.difference_update(delivery.handle for delivery in part)
        self.counts.buried += len(part)
        for name, facts in groupby(sorted(delivery.fact.name for delivery in part)):
            log.warning(
                "bus.buried", group=self.handler.group, fact=name, facts=len(list(facts)),
                reason=verdict.reason,
            )  # fmt: skip

    async def _part(self, part: Sequence[Delivery]) -> None:
        """Somebody in it is to blame: they come again at once, each alone."""
        if len(self._alone) > ALONE_KEPT:
            self._alone.clear()
        self._alone.update(delivery.handle for delivery in part)
        await self._bus.postpone(self.handler.group, {delivery.handle: 0.0 for delivery in part})
        self.counts.retried += len(part)
