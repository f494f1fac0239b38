"""Stores for tests: one of each implementation, and events to put into them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.compose.stores import Composite
from server.kernel.clock import Virtual
from server.kernel.ids import DeviceId, EventId, LogId, RoomId, Seq, UserId
from storage.api import Batch, Claim, Event, Store
from storage.memory import open_memory
from storage.postgres import open_postgres
from storage.sqlite import open_sqlite
from tests.support.cassandra_log import empty_log
from tests.support.servers.postgres import empty_database

GARDEN = RoomId("garden")
ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
STORES = ("memory", "sqlite", pytest.param("postgres", marks=pytest.mark.slow))
JOINT_STORES = ("memory", "sqlite")
LOG_STORES = (*STORES, pytest.param("cassandra", marks=pytest.mark.slow))
"""Those whose room logs are under contract; Cassandra keeps nothing else."""


@asynccontextmanager
async def open_store(kind: str, folder: Path) -> AsyncIterator[Store]:
    """An empty store of that kind, closed at the end."""
    async with AsyncExitStack() as stack:
        store: Store
        match kind:
            case "memory":
                store = open_memory()
            case "sqlite":
                store = await open_sqlite(folder / "data", clock=Virtual())
            case "postgres":
                store = await open_postgres(await empty_database(), clock=Virtual())
            case "cassandra":
                store = Composite(await empty_log(clock=Virtual()), open_memory())
            case _:
                raise ValueError(kind)
        stack.push_async_callback(store.close)
        yield store


def event(seq: int, **given: Any) -> Event:
    """A message of Alice in the garden, as are all before it, unless told otherwise."""
    content = given.pop("content", {"type": "text", "body": f"message {seq}"})
    fields: dict[str, Any] = {
        "room_id": GARDEN,
        "log_id": LogId("log-1"),
        "seq": Seq(seq),
        "id": EventId(f"event-{seq}"),
        "at": 1_000 + seq,
        "type": "message",
        "sender_id": ALICE,
        "device_id": DeviceId("alice-laptop"),
        "client_id": f"client-{seq}",
        "content": None if content is None else msgspec.Raw(msgspec.json.encode(content)),
        "n": seq,
    }
    return Event(**fields | given)


def claim(seq: int, client_id: str | None = None, sender_id: UserId = ALICE) -> Claim:
    return Claim(sender_id, client_id or f"client-{seq}", Seq(seq), bytes([seq % 256]) * 16, 1_000)


def batch(*events: Event, room_id: RoomId = GARDEN, **given: Any) -> Batch:
    """Events that follow each other, with a claim each unless `claims` are given."""
    head = given.pop("if_head", events[0].seq - 1 if events else 0)
    claims = given.pop("claims", tuple(claim(e.seq, e.client_id, e.sender_id) for e in events))
    return Batch(room_id, Seq(head), events, claims, **given)


async def fill(store: Store, *events: Event, room_id: RoomId = GARDEN) -> None:
    """A log with these events."""
    await store.log.create(room_id, LogId("log-1"))
    if events:
        assert await store.log.append(batch(*events, room_id=room_id)) is None


def seqs(rows: list[Event]) -> list[int]:
    return [row.seq for row in rows]


def body(row: Event) -> Any:
    return None if row.content is None else msgspec.json.decode(row.content)
