"""PostgreSQL as in production, with fsync: tests here kill it, freeze it and cut its links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import msgspec
import pytest

from server.kernel.clock import System
from server.kernel.config import Postgres
from storage.postgres import PostgresStore, open_postgres
from tests.support.servers.postgres import PostgresServer, fresh_database, postgres_server

LIMIT_S = 1.0
Open = Callable[..., Awaitable[PostgresStore]]


@pytest.fixture(scope="session")
def durable_server() -> Iterator[PostgresServer]:
    with postgres_server(durable=True) as server:
        yield server


@pytest.fixture
def server(durable_server: PostgresServer) -> Iterator[PostgresServer]:
    """Running, whatever the test before did to it."""
    yield durable_server
    if durable_server.process.running:
        durable_server.thaw()
    else:
        durable_server.start()


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[Postgres]:
    async with fresh_database(server.config(), limit_s=LIMIT_S, migrated=False) as config:
        yield config
        if not server.process.running:
            server.start()
        server.thaw()


@pytest.fixture
async def open_store() -> AsyncIterator[Open]:
    """Opens stores that are closed at the end. Further arguments: other fields of the config."""
    async with AsyncExitStack() as stack:

        async def open_one(config: Postgres, *, log: bool = True, **given: object) -> PostgresStore:
            config = msgspec.structs.replace(config, **given)
            store = await open_postgres(config, clock=System(), log=log)
            stack.push_async_callback(store.close)
            return store

        yield open_one
