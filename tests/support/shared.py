"""What nodes share, for tests: several nodes of one cluster, in memory or on a real Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from server.kernel.clock import System, Virtual
from server.kernel.config import Redis as Settings
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId, UserId
from storage.api import Node, Shared
from storage.memory import MemoryCluster
from storage.redis import open_redis
from tests.support.servers import redis as servers
from tests.support.servers.base import Missing, missing

KINDS = ("memory", pytest.param("redis", marks=pytest.mark.slow))
ALL_KINDS = (
    *KINDS,
    *(pytest.param(f"redis-{kind}", marks=pytest.mark.slow) for kind in ("tls", "cluster")),
    pytest.param("redis-sentinel", marks=pytest.mark.slow),
)
ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
LAURA, MAX, NINA = NodeId("laura"), NodeId("max"), NodeId("nina")


class Ear:
    """Hears for a node, and remembers."""

    def __init__(self, shared: Shared) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.restored = 0
        self._news = asyncio.Event()
        shared.fanout.listen(self._hear, self._restore)

    async def until(self, holds: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def hears(self, count: int) -> list[tuple[str, bytes]]:
        """The messages so far, once there are that many."""
        await self.until(lambda: len(self.messages) >= count)
        return self.messages

    def _hear(self, channel: str, data: bytes) -> None:
        self.messages.append((channel, data))
        self._news.set()

    def _restore(self) -> None:
        self.restored += 1
        self._news.set()


class Cluster:
    """Opens nodes on one "Redis" and closes all of them."""

    def __init__(self) -> None:
        self._opened: list[Shared] = []

    async def node(self, node_id: NodeId = LAURA) -> Shared:
        shared = await self._open(node_id)
        self._opened.append(shared)
        return shared

    async def passes(self, seconds: float) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        for shared in self._opened:
            await shared.close()

    async def _open(self, node_id: NodeId) -> Shared:
        raise NotImplementedError


class InMemory(Cluster):
    def __init__(self) -> None:
        super().__init__()
        self._clock = Virtual()
        self._cluster = MemoryCluster(self._clock, seed=7)

    async def passes(self, seconds: float) -> None:
        self._clock.advance(seconds)

    async def _open(self, node_id: NodeId) -> Shared:
        return self._cluster.open(node_id)


class OnRedis(Cluster):
    """Each with a prefix of its own, so that a server needs no emptying between tests."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.settings = own_settings(kind)

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _open(self, node_id: NodeId) -> Shared:
        return await open_redis(self.settings, node_id=node_id, clock=System())


def own_settings(kind: str = "redis") -> Settings:
    """Starts the server if no test before did. Skips or fails where there is none."""
    try:
        return msgspec.structs.replace(servers.settings(kind), prefix=uuid.uuid4().hex)
    except Missing as gone:
        missing("redis", str(gone))
        raise


@asynccontextmanager
async def open_cluster(kind: str) -> AsyncIterator[Cluster]:
    cluster = InMemory() if kind == "memory" else OnRedis(kind)
    try:
        yield cluster
    finally:
        await cluster.close()


def a_node(node_id: NodeId = LAURA, version: str = "1") -> Node:
    return Node(node_id, 1_000, version, ("chat", "calls"), ("hub",))


async def until_served(call: Callable[[], Awaitable[object]], within_s: float) -> float:
    """Try until Redis serves the call again. Returns how long that took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        try:
            await call()
            return loop.time() - started
        except Unavailable:
            assert loop.time() - started < within_s, "redis did not come back"
            await asyncio.sleep(0.05)
