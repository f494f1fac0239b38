"""The part as compose sees it: who has something to tell calls `tell`; the rest goes by itself."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from server.bus.handlers import Handler
from server.bus.telling import Teller
from server.bus.webhook import LIMIT_S, Webhook
from server.bus.worker import Worker
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.logs import Secret, get_logger
from server.kernel.outbound import Outbound
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Fact

COUNT_EVERY_S = 10.0
GRACE_S = 5.0
"""How long `close` waits for what is under way."""

log = get_logger(__name__)


class BusPart:
    """`start` joins and takes; `close` hands over what is kept and lets workers finish."""

    def __init__(
        self, bus: Bus, workers: Sequence[Worker], *, tasks: TaskOwner, outbound: Outbound
    ) -> None:
        self.bus = bus
        self.workers = workers
        self._teller = Teller(bus, tasks)
        self._tasks = tasks
        self._outbound = outbound
        self._waiting: dict[str, int] = {}

    @property
    def wanted(self) -> bool:
        """False: nobody wants any fact; producers need not make one."""
        return self.bus.wants()

    @property
    def kept(self) -> int:
        """Facts told that the bus has not taken yet: while there are any, the logs' rows that they
        come from must be findable again after a crash (the dirty rooms).
        """
        return self._teller.kept

    def tell(self, facts: Sequence[Fact], *, after: asyncio.Future[Any] | None = None) -> None:
        """Never waits nor raises. `after`: what a log's `append` returned in this same loop turn,
        where the bus lives in the log's store; elsewhere call it once the append is stored.
        """
        self._teller.tell(facts, after=after)

    async def start(self) -> None:
        """Also while the bus cannot serve: its workers go on trying."""
        await asyncio.gather(*(self._join(worker) for worker in self.workers))
        for worker in self.workers:
            worker.start()
        if self.workers:
            self._tasks.start(self._count(), "bus.count")

    async def close(self) -> None:
        await self._teller.close(GRACE_S)
        await asyncio.gather(*(worker.close(GRACE_S) for worker in self.workers))
        await self._outbound.close()

    def snapshot(self) -> Mapping[str, Any]:
        """For /metrics. `bus_waiting` is of the last count, at most COUNT_EVERY_S old."""
        counts = {worker.handler.group: worker.settling.counts for worker in self.workers}
        return {
            "bus_delivered_total": _by_group({g: c.delivered for g, c in counts.items()}),
            "bus_retried_total": _by_group({g: c.retried for g, c in counts.items()}),
            "bus_buried_total": _by_group({g: c.buried for g, c in counts.items()}),
            "bus_waiting": _by_group(self._waiting),
            "bus_kept": self._teller.kept,
            "bus_lost_total": self._teller.lost,
        }

    async def _join(self, worker: Worker) -> None:
        try:
            await worker.join()
        except Unavailable:
            log.warning("bus.not_joined", group=worker.handler.group)

    async def _count(self) -> None:
        served = {worker.handler.group for worker in self.workers}
        while True:
            try:
                self._waiting = await self.bus.waiting()
            except Unavailable:
                log.debug("bus.not_counted")
            for group in self._waiting.keys() - served:
                served.add(group)
                log.warning("bus.group_unserved", group=group, waiting=self._waiting[group])
            await asyncio.sleep(COUNT_EVERY_S)


def build(
    config: Config,
    bus: Bus,
    *,
    clock: Clock,
    tasks: TaskOwner,
    handlers: Sequence[Handler] = (),
    consumer: str | None = None,
) -> BusPart:
    """Workers run where the role `worker` is; every process may tell.

    Args:
        handlers: of other parts, beside the webhook.
        consumer: names this process to who looks at the bus.
    """
    outbound = Outbound(limit_s=LIMIT_S)
    mine = [*handlers]
    settings = config.bus
    if settings.webhook_url:
        secret = Secret(settings.webhook_secret)
        webhook = Webhook(settings.webhook_url, secret, post=outbound.post, clock=clock)
        mine.append(webhook.handler())
    name = consumer or f"{socket.gethostname()}-{os.getpid()}"
    workers = [
        Worker(
            bus, handler, consumer=name, attempts=settings.attempts, clock=clock, tasks=tasks
        )
        for handler in (mine if config.has_role("worker") else ())
    ]  # fmt: skip
    return BusPart(bus, workers, tasks=tasks, outbound=outbound)


def _by_group(values: Mapping[str, int]) -> Mapping[str, Any]:
    return {"label": "group", "values": dict(values)}
