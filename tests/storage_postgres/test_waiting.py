"""More calls than connections: they wait in turn, and waiting is no fault of the server's."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from server.kernel.clock import System
from server.kernel.config import Postgres
from server.kernel.errors import Unavailable
from storage.postgres.connections import Connections
from tests.support.servers.postgres import PostgresServer

pytestmark = pytest.mark.slow


async def test_a_crowd_waits_and_the_breaker_does_not_open(database: Postgres) -> None:
    connections = Connections(msgspec.structs.replace(database, pool=2, limit_s=0.5), System())
    try:
        calls = [connections.value("SELECT pg_sleep(0.05)::text") for _ in range(60)]
        answers = await asyncio.gather(*calls, return_exceptions=True)

        refused = [answer for answer in answers if isinstance(answer, Unavailable)]
        assert 0 < len(refused) < 60
        assert {answer.text for answer in refused} == {
            "The database is overloaded. Try again later."
        }
        assert await connections.value("SELECT 1") == 1
    finally:
        await connections.close()


async def test_those_who_wait_are_refused_at_once_when_the_server_is_gone(
    server: PostgresServer, database: Postgres
) -> None:
    config = msgspec.structs.replace(database, pool=2, limit_s=1.0)
    connections = Connections(config, System())
    try:
        assert await connections.value("SELECT 1") == 1
        server.freeze()
        began = time.monotonic()
        calls = [connections.value("SELECT 1") for _ in range(50)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        took_s = time.monotonic() - began
        server.thaw()
        await asyncio.sleep(1.1)  # the breaker's pause

        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert took_s < 5
        assert await connections.value("SELECT 2") == 2
    finally:
        server.thaw()
        await connections.close()
