"""How long the machine kept this process from running: time that is nobody's fault in a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EVERY_S = 0.01


class Lateness:
    """Of a loop that has nothing else to compute. `seconds`: in all; `longest_s`: at once."""

    def __init__(self) -> None:
        self.seconds = self.longest_s = 0.0

    async def _count(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            late = max(0.0, loop.time() - due)
            self.seconds += late
            self.longest_s = max(self.longest_s, late)


@asynccontextmanager
async def lateness() -> AsyncIterator[Lateness]:
    late = Lateness()
    counting = asyncio.create_task(late._count())
    try:
        yield late
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)
