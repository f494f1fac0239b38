"""What time makes due, through indexes that are written before the append."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.kernel.clock import Virtual
from server.kernel.ids import LogId, RoomId, Seq
from storage.api import Batch
from storage.cassandra import CassandraLog
from storage.cassandra.indexes import HOUR_MS
from tests.support.cassandra_log import empty_log, shared_config
from tests.support.servers.cassandra import rows_of
from tests.support.stores import GARDEN, batch, event, seqs

pytestmark = pytest.mark.slow

START_MS = 1_800_000_000_000


@pytest.fixture
def clock() -> Virtual:
    return Virtual(START_MS)


@pytest.fixture
async def alone(clock: Virtual) -> AsyncIterator[CassandraLog]:
    """Nothing is in the keyspace but what the test puts there."""
    log = await empty_log(clock=clock)
    await log.create(GARDEN, LogId("log-1"))
    yield log
    await log.close()


def expiring(seq: int, in_ms: int) -> Batch:
    return batch(event(seq, at=START_MS, expires_at=START_MS + in_ms))


def indexed(table: str) -> int:
    config = shared_config()
    text = f"SELECT room FROM {config.keyspace}.{table}"
    return len(rows_of(config.hosts[0], config.port, text))


async def test_an_expiry_whose_append_never_came_is_not_due_and_goes_when_the_seq_is_taken(
    alone: CassandraLog,
) -> None:
    await alone._indexes.note(expiring(1, 50), 0)

    before = await alone.due(START_MS + 100, 9)
    kept = indexed("expiries")
    await alone.append(batch(event(1, at=START_MS)))
    after = await alone.due(START_MS + 100, 9)

    assert (before, kept, after, indexed("expiries")) == ([], 1, [], 0)


async def test_a_refused_append_leaves_no_expiry_behind(alone: CassandraLog) -> None:
    await alone.append(batch(event(1, at=START_MS)))
    refused = await alone.append(expiring(1, 50))

    assert refused is not None
    assert await alone.due(START_MS + 100, 9) == []


async def test_expiries_of_many_hours_are_due_in_their_order_and_done_with_once_blanked(
    alone: CassandraLog, clock: Virtual
) -> None:
    hours = [30, 2, 7, 1]
    for seq, hour in enumerate(hours, 1):
        await alone.append(expiring(seq, hour * HOUR_MS))

    clock.advance(31 * 3600)
    due = await alone.due(clock.now_ms(), 9)
    await alone.blank(GARDEN, [Seq(4), Seq(2)], "expired")
    rest = await alone.due(clock.now_ms(), 9)

    assert [seq for _, seq in due] == [4, 2, 3, 1]
    assert [seq for _, seq in rest] == [3, 1]
    assert indexed("expiries") == 2


async def test_content_that_ended_by_its_own_is_told_as_expired(alone: CassandraLog) -> None:
    await alone.append(batch(event(1, at=START_MS, expires_at=START_MS), event(2, at=START_MS)))
    config = shared_config()
    rows_of(
        config.hosts[0],
        config.port,
        f"DELETE content FROM {config.keyspace}.log WHERE room = 'garden' AND bucket = 0 "
        "AND kind = 0 AND seq = 1 AND cid = 0x",
    )

    rows, _ = await alone.read(GARDEN, limit=9)

    assert seqs(rows) == [1, 2]
    assert [(row.gone, row.content is None) for row in rows] == [("expired", True), (None, False)]


async def test_retention_walks_the_hours_of_all_rooms_in_small_bites(
    alone: CassandraLog, clock: Virtual
) -> None:
    other = RoomId("kitchen")
    await alone.create(other, LogId("log-1"))
    for seq in range(1, 7):
        await alone.append(batch(event(seq, at=clock.now_ms())))
        await alone.append(batch(event(seq, room_id=other, at=clock.now_ms() + 1), room_id=other))
        clock.advance(2 * 3600)
    clock.advance(10 * 86_400)
    before_ms = START_MS + 8 * HOUR_MS
    found = []

    while old := await alone.older_than(before_ms, 3):
        found.extend(old)
        for room_id, seq in old:
            await alone.blank(room_id, [seq], "erased")

    await alone.older_than(before_ms, 3)  # finds the last of them done with
    assert found == [(room, seq) for seq in range(1, 5) for room in (GARDEN, other)]
    assert indexed("activity") == 4
