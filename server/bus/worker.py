"""Takes facts from the bus and has them handled, until each is done or given up.

What it dies with is delivered again when its lease is over; so is what it could not mark as done.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from server.bus.handlers import Handler, Retry, Verdict, batches
from server.bus.settling import Settling
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Delivery
from storage.api.bus import MOST_TAKEN

WAIT_S = 5.0
"""How long a take waits for the first fact."""
AGAIN_S = 1.0
"""Between two tries of a bus that cannot serve."""
AHEAD_S = 1.0
"""Work is taken for about so long."""

log = get_logger(__name__)


class Worker:
    """Runs one handler. `run` is its task; `turn` and `settled` are its steps, for tests.

    `attempts` and `chance`: see Settling.
    """

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
        self.handler = handler
        self.settling = Settling(bus, handler, attempts=attempts, tasks=tasks, chance=chance)
        self._bus = bus
        self._consumer = consumer
        self._clock = clock
        self._tasks = tasks
        self._under_way: set[asyncio.Task[None]] = set()
        self._next: list[list[Delivery]] = []
        self._call_s: float | None = None
        self._running: asyncio.Task[None] | None = None

    async def join(self) -> None:
        await self._bus.join(self.handler.group, self.handler.wants)

    def start(self) -> None:
        self._running = self._tasks.start(self.run(), f"bus.{self.handler.group}")

    async def close(self, grace_s: float) -> None:
        """Take no more, hand back what was not begun, and give what is under way `grace_s` to
        finish. The rest is left to others.
        """
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        unbegun, self._next = self._next, []
        try:
            async with asyncio.timeout(grace_s):
                await self.settling.hand_back([delivery for part in unbegun for delivery in part])
                await self.settled()
        except TimeoutError:
            log.info("bus.left", group=self.handler.group, calls=len(self._under_way))
        left = {task for task in (*self._under_way, self.settling.finishing) if task is not None}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

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
        taken = await self._bus.take(
            handler.group, self._consumer, limit=self._ahead(), wait_s=wait_s,
            lease_s=handler.lease_s,
        )  # fmt: skip
        last_call = self._clock.monotonic() + handler.lease_s - handler.limit_s
        self._next = batches(taken, handler.batch, alone=self.settling.goes_alone)
        while self._next:
            await self._room()
            if self._clock.monotonic() > last_call:
                self._next.clear()
                break
            self._begin(self._next.pop(0))
        return len(taken)

    def _ahead(self) -> int:
        """Facts to take: what may begin now, or what is likely to be handled soon."""
        handler = self.handler
        free = handler.at_once - len(self._under_way)
        soon = 0.0 if self._call_s is None else AHEAD_S / max(self._call_s, 0.001) * handler.at_once
        return min(max(free, int(soon)) * handler.batch, MOST_TAKEN)

    async def settled(self) -> None:
        """Until nothing is under way and what is done is marked so."""
        while ends := [task for task in (*self._under_way, self.settling.finishing) if task]:
            await asyncio.wait(ends)
            await asyncio.sleep(0)  # their callbacks

    async def _room(self) -> None:
        while len(self._under_way) >= self.handler.at_once:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, part: Sequence[Delivery]) -> None:
        task = self._tasks.start(self._deliver(part), f"bus.{self.handler.group}.deliver")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    # ---- one batch ------------------------------------------------------------------------------

    async def _deliver(self, part: Sequence[Delivery]) -> None:
        await self.settling.settle(part, await self._ask(part))

    async def _ask(self, part: Sequence[Delivery]) -> Verdict:
        handler = self.handler
        work = handler.handle([delivery.fact for delivery in part])
        task = self._tasks.start(work, f"bus.{handler.group}.handle")
        began = self._clock.monotonic()
        try:
            await asyncio.wait({task}, timeout=handler.limit_s)
        finally:
            task.cancel()
        took_s = self._clock.monotonic() - began
        self._call_s = took_s if self._call_s is None else 0.8 * self._call_s + 0.2 * took_s
        if not task.done():
            return Retry("took too long")
        if task.cancelled():
            return Retry("cancelled")
        crash = task.exception()  # its owner has logged it
        if crash is not None:
            return Retry(f"crashed: {type(crash).__name__}")
        verdict: Verdict = task.result()
        return verdict
