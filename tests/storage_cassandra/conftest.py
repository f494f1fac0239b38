"""Room logs on the test session's Cassandra; each test takes rooms of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from server.kernel.clock import System
from server.kernel.ids import RandomIds, RoomId
from storage.cassandra import CassandraLog, open_cassandra
from tests.support.cassandra_log import shared_config
from tests.support.cql_proxy import Proxy, proxy_to

_ids = RandomIds()


@pytest.fixture
def room_id() -> RoomId:
    return RoomId(_ids.new(System().now_ms()))


@pytest.fixture
async def log() -> AsyncIterator[CassandraLog]:
    opened = await open_cassandra(shared_config(), clock=System())
    yield opened
    await opened.close()


@pytest.fixture
async def other() -> AsyncIterator[CassandraLog]:
    """Another process on the same logs: it knows nothing of what the first has seen."""
    opened = await open_cassandra(shared_config(), clock=System())
    yield opened
    await opened.close()


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[CassandraLog, Proxy]]:
    config = shared_config()
    async with proxy_to(config.hosts[0], config.port) as (proxy, port):
        opened = await open_cassandra(
            msgspec.structs.replace(config, hosts=("127.0.0.1",), port=port), clock=System()
        )
        proxy.batches = 0
        yield opened, proxy
        await opened.close()
