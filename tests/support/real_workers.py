"""`hubbub serve --workers N` over PostgreSQL and Redis, for scenarios of many processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from hubbub import Client, Item, RoomEvent

from server.kernel.config import Postgres
from tests.support.servers import postgres, redis
from tests.support.servers.base import Missing, missing

_numbers = itertools.count(1)
PASSWORD = "correct horse battery"
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


class Person:
    """A client that counts what it hears."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[str] = []
        client.on(self._hear)

    def _hear(self, item: Item) -> None:
        if isinstance(item, RoomEvent) and item.event.type == "message":
            self.heard.append(item.event.body)


@asynccontextmanager
async def people(
    url: str, count: int, name: str, *, transports: tuple[str, ...] = ("websocket", "polling")
) -> AsyncIterator[list[Person]]:
    """All are in one room of that name; the transports go round."""
    async with contextlib.AsyncExitStack() as stack:
        made: list[Person] = []
        for number in range(count):
            transport = transports[number % len(transports)]
            client = await stack.enter_async_context(Client(url, transport=transport))
            await client.sign_up(f"{name}{number}", PASSWORD)
            made.append(Person(client))
        first = made[0].client
        await first.create_room(name=name, member_ids=[person.client.me.id for person in made[1:]])
        for person in made:
            await person.client.connect()
        yield made


def room_of(person: Person) -> Any:
    return next(iter(person.client.rooms.values()))


async def says(person: Person, name: str, ended: asyncio.Event, most: int = 100_000) -> list[str]:
    """Sends one line after the other; a refusal raises. Returns what was acknowledged."""
    said: list[str] = []
    room = room_of(person)
    while not ended.is_set() and len(said) < most:
        text = f"{name}-{len(said)}"
        await room.send(text)
        said.append(text)
        await asyncio.sleep(0.1)
    return said
