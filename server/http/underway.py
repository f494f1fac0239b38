"""Requests that are being answered, so that an end can wait for them."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

ENDING_S = 10.0
"""How long requests under way may take once the server ends."""


class Underway:
    """Counts. aiohttp itself stops reading from every connection when it is told to end, also the
    rest of a body that a request waits for.
    """

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def watch(self, app: web.Application) -> None:
        app.middlewares.insert(0, self._middleware())

    async def settle(self) -> None:
        """Return when none is left, or after ENDING_S."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                await self._none.wait()

    def _middleware(self) -> Middleware:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._count += 1
            self._none.clear()
            try:
                return await handler(request)
            finally:
                self._count -= 1
                if self._count == 0:
                    self._none.set()

        return middleware
