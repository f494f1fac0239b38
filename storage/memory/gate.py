"""Whether the store serves now: one switch for its three seams, so that tests can take it away."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from server.kernel.errors import Unavailable

_T = TypeVar("_T")


class Gate:
    """`closed`: for good. `outage`: until set back; a test's disk full."""

    def __init__(self) -> None:
        self.closed = False
        self.outage = False

    def check(self) -> None:
        if self.closed or self.outage:
            raise Unavailable("The store cannot serve now. Try again later.", retry_after_s=1)


def done(value: _T) -> asyncio.Future[_T]:
    """A future that holds its result already."""
    future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
