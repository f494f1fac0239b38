"""Several nodes write the projections of the same rooms."""

from __future__ import annotations

import asyncio
import random

import pytest

from server.kernel.config import Postgres
from server.kernel.ids import RoomId, Seq, UserId
from storage.api import Change, MemberRow, PutMember, PutMention, PutReceipt
from storage.postgres import PostgresStore
from tests.storage_postgres.conftest import Open
from tests.support.stores import GARDEN

pytestmark = pytest.mark.slow

PEOPLE = [UserId(f"user-{i}") for i in range(8)]
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
TURNS, WRITERS = 60, 4


def fold(seq: int) -> list[Change]:
    """Of anybody, in any order."""
    members = [MemberRow(GARDEN, who, "member", Seq(1), 1) for who in random.sample(PEOPLE, 4)]
    marks = [PutReceipt(who, Seq(seq), Seq(seq)) for who in random.sample(PEOPLE, 5)]
    mention = PutMention(random.choice(PEOPLE), PEOPLE[0], Seq(seq))
    return [*marks, *map(PutMember, members), mention]


async def write(store: PostgresStore, room: RoomId) -> None:
    for turn in range(TURNS):
        at = (await store.projections.applied([room]))[room]
        to = Seq(at + 1)
        await store.projections.apply(room, from_seq=at, to_seq=to, changes=fold(to))
        marks = [PutReceipt(who, Seq(1), Seq(turn)) for who in random.sample(PEOPLE, 5)]
        await store.projections.set_receipts(room, marks)


async def test_nodes_that_write_the_same_rooms_never_wait_in_a_circle(
    database: Postgres, open_store: Open
) -> None:
    stores = [await open_store(database, log=False, limit_s=5.0) for _ in range(2)]

    await asyncio.gather(*(write(store, GARDEN) for store in stores for _ in range(WRITERS)))

    applied = (await stores[0].projections.applied([GARDEN]))[GARDEN]
    assert TURNS <= applied <= 2 * WRITERS * TURNS
    assert await stores[0]._connections.value(DEADLOCKS) == 0


async def test_of_two_folds_of_the_same_events_one_is_applied(
    database: Postgres, open_store: Open
) -> None:
    stores = [await open_store(database, log=False) for _ in range(2)]

    ends = await asyncio.gather(
        *(
            store.projections.apply(GARDEN, from_seq=Seq(0), to_seq=Seq(to), changes=())
            for to, store in enumerate(stores, 1)
        )
    )

    assert ends in ([1, 1], [2, 2])
