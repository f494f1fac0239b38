"""Redis servers of a test's own: it may kill them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from server.kernel.clock import System
from server.kernel.config import Redis as Settings
from server.kernel.ids import NodeId
from storage.redis import RedisShared, open_redis
from tests.support.servers.base import Missing, missing, server_folder
from tests.support.servers.redis import Certificates, Cluster, Server, Watched

_Made = TypeVar("_Made", Server, Cluster, Watched)
Open = Callable[..., Awaitable[RedisShared]]
LIMIT_S = 1.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder("redis") as made:
        yield made


@pytest.fixture
def redis(folder: Path) -> Iterator[Server]:
    yield from _running(lambda: Server(folder, "redis"))


@pytest.fixture
def redis_tls(folder: Path) -> Iterator[Server]:
    yield from _running(lambda: Server(folder, "redis", tls=Certificates(folder)))


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    yield from _running(lambda: Cluster(folder))


@pytest.fixture
def watched(folder: Path) -> Iterator[Watched]:
    yield from _running(lambda: Watched(folder))


@pytest.fixture
async def open_node() -> AsyncIterator[Open]:
    """`open_node(settings, "laura")`: closed at the end."""
    async with AsyncExitStack() as stack:

        async def opens(settings: Settings, name: str) -> RedisShared:
            given = msgspec.structs.replace(settings, limit_s=LIMIT_S)
            shared = await open_redis(given, node_id=NodeId(name), clock=System())
            stack.push_async_callback(shared.close)
            return shared

        yield opens


def _running(make: Callable[[], _Made]) -> Iterator[_Made]:
    try:
        made = make()
    except Missing as gone:
        missing("redis", str(gone))
        raise
    try:
        made.start()
        yield made
    finally:
        made.stop()
