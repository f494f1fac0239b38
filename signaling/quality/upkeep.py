"""What was measured in calls is forgotten after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import CallQuality

EVERY_S = 3_600.0
KEPT_DAYS = 90
AT_ONCE = 500
DAY_MS = 86_400_000

log = get_logger(__name__)


class Upkeep:
    """`leads`: whether this one of all nodes does it now. `days` 0: the default."""

    def __init__(
        self, rows: CallQuality, *, clock: Clock, leads: Callable[[], bool], days: int = 0
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._leads = leads
        self._days = days or KEPT_DAYS

    def start(self, tasks: TaskOwner) -> None:
        tasks.start(self._run(), "call_quality")

    async def sweep(self) -> int:
        """Returns how many rows went."""
        before, gone = self._clock.now_ms() - self._days * DAY_MS, 0
        try:
            while (went := await self._rows.drop_before(before, AT_ONCE)) > 0:
                gone += went
        except Unavailable:
            log.warning("call_quality.not_swept")
        if gone:
            log.info("call_quality.dropped", rows=gone)
        return gone

    async def _run(self) -> None:
        while True:
            if self._leads():
                await self.sweep()
            await asyncio.sleep(EVERY_S)
