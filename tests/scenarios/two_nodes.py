"""Two real servers over one PostgreSQL and one Redis, and people at either."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from server.kernel.config import Postgres, Redis
from tests.scenarios.conftest import FREE
from tests.support.process import Running, start_server
from tests.support.servers.postgres import shared_postgres
from tests.support.servers.redis import settings

_databases = itertools.count(1)


@dataclass
class TwoNodes:
    """`env`: what a process needs to belong to it."""

    folder: Path
    env: dict[str, str]
    nodes: list[Running] = field(default_factory=list)

    def start(self, *arguments: str, port: int = 0) -> Running:
        name = f"node{len(self.nodes)}"
        self.nodes.append(start_server(self.folder / name, *arguments, port=port, env=self.env))
        return self.nodes[-1]


@contextmanager
def two_nodes(folder: Path, **env: str) -> Iterator[TwoNodes]:
    """Both started, on a database and a prefix of their own."""
    postgres, redis = shared_postgres(), settings()
    name = f"scenario_{folder.name}_{next(_databases)}".replace("-", "_").lower()
    with ThreadPoolExecutor(1) as thread:  # there may be a loop in this one (a browser's)
        thread.submit(asyncio.run, _make_database(postgres, name)).result()
    cluster = TwoNodes(folder, {**FREE, **cluster_env(postgres, redis, name), **env})
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(cluster.start())
        yield cluster


def cluster_env(postgres: Postgres, redis: Redis, name: str) -> dict[str, str]:
    return {
        "HUBBUB_STORE__LOG": "postgres",
        "HUBBUB_POSTGRES__HOST": postgres.host,
        "HUBBUB_POSTGRES__PORT": str(postgres.port),
        "HUBBUB_POSTGRES__USER": postgres.user,
        "HUBBUB_POSTGRES__PASSWORD": postgres.password,
        "HUBBUB_POSTGRES__DATABASE": name,
        "HUBBUB_REDIS__HOST": redis.host,
        "HUBBUB_REDIS__PORT": str(redis.port),
        "HUBBUB_REDIS__PASSWORD": redis.password,
        "HUBBUB_REDIS__PREFIX": name,
        "HUBBUB_SERVER__REGISTRATION": "open",
    }


async def _make_database(postgres: Postgres, name: str) -> None:
    connection = await asyncpg.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, password=postgres.password,
        database=postgres.database,
    )  # fmt: skip
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
