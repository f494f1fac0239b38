"""Waiting for what a real server will do soon, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(
    happened: Callable[[], object], timeout_s: float = 10.0, *, every_s: float = 0.01
) -> None:
    """Return once it is so; TimeoutError after `timeout_s`, counted in looks: while the machine
    stands still nobody looks, and nothing else goes on either.
    """
    for _ in range(max(1, round(timeout_s / every_s))):
        if happened():
            return
        await asyncio.sleep(every_s)
    if not happened():
        raise TimeoutError
