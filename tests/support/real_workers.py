"""`hubbub serve --workers N` over PostgreSQL and Redis, for scenarios of many processes."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping

import msgspec

from server.kernel.config import Postgres
from tests.support.servers import postgres, redis
from tests.support.servers.base import Missing, missing

_numbers = itertools.count(1)
FREE = {
    f"HUBBUB_LIMITS__{name}": "0"
    for name in ("SIGNUP_PER_H", "SEND_PER_S", "CONNECT_PER_S", "HTTP_PER_S", "EVENT_PER_S")
}


def cluster_environment(**more: str) -> dict[str, str]:
    """A new database, a prefix of its own in Redis, and how a server is told of them. Not to be
    called inside a loop.
    """
    try:
        pg, shared = asyncio.run(_new_database()), redis.settings()
    except Missing as error:
        missing("PostgreSQL or Redis", str(error))
        raise
    return {
        "HUBBUB_STORE__LOG": "postgres",
        **_named("POSTGRES", pg, ("host", "port", "user", "password", "database")),
        **_named("REDIS", shared, ("host", "port", "user", "password")),
        "HUBBUB_REDIS__PREFIX": f"workers{os.getpid()}x{next(_numbers)}",
        "HUBBUB_CLUSTER__BEAT_S": "0.5",
        "HUBBUB_CLUSTER__DEAD_AFTER_S": "2",
        "HUBBUB_SERVER__DRAIN_S": "1",
        **FREE,
        **more,
    }


def _named(section: str, values: msgspec.Struct, names: tuple[str, ...]) -> Mapping[str, str]:
    return {f"HUBBUB_{section}__{name.upper()}": str(getattr(values, name)) for name in names}


async def _new_database() -> Postgres:
    """Goes with the test run's server."""
    server = postgres.shared_postgres()
    name = f"hubbub_workers_{os.getpid()}_{next(_numbers)}"
    await postgres.run_sql(server, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    return msgspec.structs.replace(server, database=name)
