"""Several hosts, and how the way to them is kept private."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from server.kernel.ids import LogId, RoomId
from storage.postgres import CannotOpen
from tests.storage_postgres.conftest import LIMIT_S, Open
from tests.storage_postgres.writers import Tally, Writer, check_rooms
from tests.support.servers.base import server_folder
from tests.support.servers.postgres import PostgresServer, postgres_server, run_sql
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ROOMS = [RoomId("room-1"), RoomId("room-2")]
BOTH = "127.0.0.1,127.0.0.2"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and its standby; the last test here kills the one and promotes the other."""
    with ExitStack() as stack:
        primary = stack.enter_context(postgres_server(durable=True))
        folder = stack.enter_context(server_folder("pg"))
        standby = PostgresServer(folder, durable=True, host="127.0.0.2", port=primary.port)
        standby.copy_from(primary)
        standby.start()
        stack.callback(standby.stop)
        yield primary, standby


async def test_a_standby_alone_is_no_primary(
    pair: tuple[PostgresServer, PostgresServer], open_store: Open
) -> None:
    with pytest.raises(CannotOpen, match="TargetServerAttributeNotMatched"):
        await open_store(pair[1].config())


async def test_the_store_follows_to_the_promoted_standby_and_nothing_is_lost(
    pair: tuple[PostgresServer, PostgresServer], open_store: Open
) -> None:
    primary, standby = pair
    wait_for_standby = "ALTER SYSTEM SET synchronous_standby_names = '*'"
    await run_sql(primary.config(), wait_for_standby, "SELECT pg_reload_conf()")
    store = await open_store(primary.config(), host=BOTH, limit_s=LIMIT_S)
    for room in ROOMS:
        await store.log.create(room, LogId("log"))
    tally = Tally()
    running = [asyncio.create_task(Writer(store.log, r, r, tally).run()) for r in ROOMS]
    await until(lambda: tally.total > 50, timeout_s=20)

    primary.kill()
    acked = tally.total
    await run_sql(standby.config(), "SELECT pg_promote()")
    await until(lambda: tally.total > acked + 50, timeout_s=20)
    tally.stopped = True
    await asyncio.gather(*running)

    await check_rooms(store.log, tally, ROOMS)


@pytest.fixture(scope="module")
def private() -> Iterator[tuple[PostgresServer, str]]:
    with postgres_server(tls=True) as server:
        yield server, str(server.ca_file)


@pytest.mark.parametrize("tls", ["on", "verify"])
async def test_a_private_connection_is_made(
    private: tuple[PostgresServer, str], open_store: Open, tls: str
) -> None:
    server, ca_file = private

    store = await open_store(server.config(), tls=tls, ca_file=ca_file if tls == "verify" else "")

    sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await store._connections.value(sql) is True


async def test_a_certificate_that_nobody_known_signed_is_refused(
    private: tuple[PostgresServer, str], open_store: Open
) -> None:
    with pytest.raises(CannotOpen, match="CERTIFICATE_VERIFY_FAILED"):
        await open_store(private[0].config(), tls="verify")


async def test_a_server_without_tls_is_refused_where_it_is_asked_for(
    server: PostgresServer, open_store: Open
) -> None:
    with pytest.raises(CannotOpen, match="rejected SSL upgrade"):
        await open_store(server.config(), tls="on")
