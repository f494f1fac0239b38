"""Waiting for what a real server will do soon, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(
    happened: Callable[[], object], timeout_s: float = 10.0, *, every_s: float = 0.01
) -> None:
    """Return once it is so; TimeoutError after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not happened():  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(every_s)
