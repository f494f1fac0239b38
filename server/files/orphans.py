"""Uploads that were begun and not ended go after a while, from whichever node they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Files

EVERY_S = 600.0
KEPT_S = 86_400.0
"""An upload that was not touched for a day is not resumed any more (tus, "Expiration")."""

log = get_logger(__name__)


class OrphanSweep:
    """`leads`: whether this one of all nodes does it now."""

    def __init__(self, files: Files, *, tasks: TaskOwner, leads: Callable[[], bool]) -> None:
        self._files = files
        self._tasks = tasks
        self._leads = leads

    def start(self) -> None:
        self._tasks.start(self._run(), "files.orphans")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if self._leads():
                await self.sweep()

    async def sweep(self) -> int:
        """Returns how many went."""
        try:
            gone = await self._files.uploads.expire(KEPT_S)
        except Unavailable:
            log.warning("files.not_swept")
            return 0
        if gone:
            log.info("files.expired", uploads=len(gone))
        return len(gone)
