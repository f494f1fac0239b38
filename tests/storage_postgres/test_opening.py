"""Opening: migrations of old and new nodes side by side, and refusals that say what to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from server.kernel.clock import System
from server.kernel.config import Postgres
from server.kernel.ids import LogId
from storage.postgres import CannotOpen, NewerSchema
from storage.postgres.connections import Connections
from storage.postgres.migration import Step, bring_up, read_steps
from tests.storage_postgres.conftest import Open
from tests.storage_postgres.writers import one
from tests.support.servers.base import free_port
from tests.support.servers.postgres import run_sql
from tests.support.stores import GARDEN

pytestmark = pytest.mark.slow

KNOWN = read_steps()
NEXT = max(KNOWN) + 1


async def migrate(config: Postgres, step: Step | None = None) -> tuple[int, int]:
    connections = Connections(config, System())
    try:
        return await bring_up(connections, KNOWN | ({NEXT: step} if step else {}))
    finally:
        await connections.close()


async def test_a_fresh_database_is_brought_up_once_by_many_at_once(database: Postgres) -> None:
    done = await asyncio.gather(*(migrate(database) for _ in range(4)))

    assert sorted(done) == [(0, max(KNOWN)), *[(max(KNOWN), max(KNOWN))] * 3]


async def test_a_newer_step_that_only_adds_leaves_the_older_program_working(
    database: Postgres, open_store: Open
) -> None:
    running = await open_store(database)
    await running.log.create(GARDEN, LogId("log"))
    adds = Step("ALTER TABLE events ADD COLUMN mood text; CREATE TABLE more (id int)", 1)

    assert await migrate(database, adds) == (max(KNOWN), NEXT)

    started_later = await open_store(database)
    assert await running.log.append(one(GARDEN, 1, "old")) is None
    assert await started_later.log.append(one(GARDEN, 2, "later")) is None
    rows, _ = await running.log.read(GARDEN, limit=5)
    assert [row.client_id for row in rows] == ["old", "later"]


async def test_a_program_that_is_too_old_for_the_schema_is_refused(
    database: Postgres, open_store: Open
) -> None:
    await migrate(database, Step("ALTER TABLE users DROP COLUMN email", NEXT))

    with pytest.raises(NewerSchema, match=r"newer hubbub.*Start the newer program"):
        await open_store(database)


async def test_a_step_that_fails_leaves_the_schema_as_it_was(
    database: Postgres, open_store: Open
) -> None:
    await migrate(database)

    with pytest.raises(Exception, match="nonsense"):
        await migrate(database, Step("CREATE TABLE half (id int); SELECT nonsense", 1))

    assert await migrate(database, replace(KNOWN[1], sql="CREATE TABLE half (id int)")) == (
        max(KNOWN),
        NEXT,
    )
    await open_store(database)


async def test_a_wrong_password_is_told_without_the_password(
    database: Postgres, open_store: Open
) -> None:
    with pytest.raises(CannotOpen, match="InvalidPasswordError") as refused:
        await open_store(database, password="letmein-7")

    assert "letmein-7" not in str(refused.value)


async def test_a_server_that_is_not_there_is_told(database: Postgres, open_store: Open) -> None:
    with pytest.raises(CannotOpen, match="cannot be used"):
        await open_store(database, port=free_port())


async def test_a_database_in_another_encoding_is_refused(
    database: Postgres, open_store: Open
) -> None:
    create = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    await run_sql(database, "DROP DATABASE IF EXISTS latin", create)

    with pytest.raises(CannotOpen, match="UTF8"):
        await open_store(database, database="latin")
