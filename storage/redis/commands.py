"""Commands to Redis through redis-py, each with a time limit, all behind one breaker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import TypeVar

from redis.exceptions import (
    ClusterDownError,
    ClusterError,
    ConnectionError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from server.kernel.clock import Clock
from storage.guard import Guard
from storage.redis.servers import CONNECTIONS, Client, Servers

_T = TypeVar("_T")

FAULTS: tuple[type[Exception], ...] = (
    ConnectionError, TimeoutError, OSError, ReadOnlyError, ClusterDownError, ClusterError,
    RedisClusterException, TryAgainError, OutOfMemoryError, NoPermissionError,
    InvalidResponse,
)  # fmt: skip
"""Redis cannot serve. Other errors are ours: a wrong command."""
REFUSALS = ("MISCONF", "NOREPLICAS", "UNBLOCKED", "MASTERDOWN", "LOADING", "BUSY ")
"""The same, of errors that redis-py has no class for."""


class RedisCommands:
    """`client` is redis-py's; every call on it goes through `call`. Two users of one Redis each
    open their own: a blocking read must not hold what others wait for.
    """

    def __init__(self, servers: Servers, clock: Clock) -> None:
        settings, self._servers = servers.settings, servers
        self.client: Client = servers.client()
        self.cluster = settings.cluster
        self._prefix = settings.prefix
        self._guard = Guard("redis", clock, faults=FAULTS, limit_s=settings.limit_s)
        self._free = asyncio.Semaphore(CONNECTIONS)

    def key(self, *parts: str) -> str:
        """`prefix:part:part`. What stands in braces decides the slot in a Cluster."""
        return ":".join((self._prefix, *parts))

    async def call(self, work: Awaitable[_T], *, limit_s: float | None = None) -> _T:
        """Raises Unavailable as `Guard.call` does, and redis-py's ResponseError for a command that
        Redis will never accept.
        """
        try:
            return await self._guard.call(self._in_turn(work), limit_s=limit_s)
        finally:
            _end(work)

    async def close(self) -> None:
        await self.client.aclose()
        await self._servers.close()

    async def _in_turn(self, work: Awaitable[_T]) -> _T:
        async with self._free:
            try:
                return await work
            except RuntimeError:
                # uvloop's, of a transport that closed since the pool last looked at it.
                raise ConnectionError("closed") from None
            except ResponseError as error:
                if str(error).startswith(REFUSALS):
                    raise ConnectionError("refused") from None
                raise


def _end(work: Awaitable[object]) -> None:
    """A command that never began leaves no coroutine that nobody awaited."""
    if isinstance(work, Coroutine):
        work.close()
