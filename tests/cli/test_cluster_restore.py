"""Backing up and restoring a cluster's PostgreSQL, with the commands of docs/operations.md."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from server.kernel.clock import Virtual
from server.kernel.config import Postgres
from storage.postgres import open_postgres
from tests.support.servers.postgres import binaries, fresh_database
from tests.support.stores import GARDEN, body, event, fill

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


async def run(*command: str | Path, **env: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env={**os.environ, **env}, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    return said.decode()


def client(config: Postgres) -> tuple[tuple[str, ...], dict[str, str]]:
    at = ("-h", config.host, "-p", str(config.port), "-U", config.user, "-d", config.database)
    return at, {"PGPASSWORD": config.password}


async def test_a_dump_restored_elsewhere_has_all_events_under_a_new_identity(
    tmp_path: Path,
) -> None:
    async with fresh_database() as source, fresh_database(migrated=False) as goal:
        store = await open_postgres(source, clock=Virtual())
        await fill(store, *(event(seq) for seq in range(1, 6)))
        before = (await store.log.heads([GARDEN]))[GARDEN]
        dump = tmp_path / "hubbub.dump"
        at, secret = client(source)
        await run(binaries() / "pg_dump", *at, "-Fc", "-f", dump, **secret)
        await store.close()

        at, secret = client(goal)
        await run(binaries() / "pg_restore", *at, "--clean", "--if-exists", dump, **secret)
        said = await run(
            Path(sys.executable).with_name("hubbub"), "renew", HUBBUB_STORE__LOG="postgres",
            HUBBUB_POSTGRES__HOST=goal.host, HUBBUB_POSTGRES__PORT=str(goal.port),
            HUBBUB_POSTGRES__USER=goal.user, HUBBUB_POSTGRES__PASSWORD=goal.password,
            HUBBUB_POSTGRES__DATABASE=goal.database,
        )  # fmt: skip

        restored = await open_postgres(goal, clock=Virtual())
        after = (await restored.log.heads([GARDEN]))[GARDEN]
        rows, _ = await restored.log.read(GARDEN, limit=10)
        await restored.close()

    assert "1 logs have a new identity" in said
    assert (after.head, after.first_seq) == (before.head, before.first_seq)
    assert after.log_id != before.log_id
    assert [body(row)["body"] for row in rows] == [f"message {seq}" for seq in range(1, 6)]
