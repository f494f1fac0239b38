"""Reports that wait for their reader, in order and bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from media import api
from media.connections import ConnectionCommand, ConnectionReport, ConnectionStats, PlaneCounts

Command = api.Command | ConnectionCommand
Report = api.Report | ConnectionReport

WAITING = 20_000
"""A reader that is so far behind has stopped; figures are left out from half of it on."""


class Reports:
    """When full, the oldest go: a reader that comes back so late asks for everything anew."""

    def __init__(self, limit: int = WAITING) -> None:
        self._limit = limit
        self._waiting: deque[Report] = deque(maxlen=limit)
        self._there = asyncio.Event()

    def add(self, report: Report | None) -> None:
        if report is None:
            return
        if (
            isinstance(report, ConnectionStats | PlaneCounts)
            and len(self._waiting) >= self._limit // 2
        ):
            return
        self._waiting.append(report)
        self._there.set()

    async def take(self) -> Sequence[Report]:
        """Waits until there is one and takes all."""
        await self._there.wait()
        self._there.clear()
        taken = tuple(self._waiting)
        self._waiting.clear()
        return taken
