"""Two processes that both believe to be a room's writer."""

from __future__ import annotations

import asyncio
import time

import pytest

from server.kernel.ids import LogId, RoomId, Seq
from storage.cassandra import CassandraLog
from tests.support.lateness import lateness
from tests.support.stores import batch, event, seqs

pytestmark = pytest.mark.slow

EACH = 60
LONGEST_WAIT_S = 2.0


async def write(log: CassandraLog, room_id: RoomId, name: str) -> float:
    """EACH events, one after the other, each until it is stored. Returns the longest wait."""
    head, longest = Seq(0), 0.0
    for number in range(EACH):
        began = time.monotonic()
        client_id = f"{name}-{number}"
        while True:
            given = event(head + 1, room_id=room_id, id=client_id, client_id=client_id)
            refused = await log.append(batch(given, room_id=room_id))
            if refused is None:
                head = Seq(head + 1)
                break
            assert refused.taken == {}
            head = refused.head
        longest = max(longest, time.monotonic() - began)
    return longest


async def test_duelling_writers_leave_no_hole_and_no_double_and_none_starves(
    log: CassandraLog, other: CassandraLog, room_id: RoomId
) -> None:
    await log.create(room_id, LogId("log-1"))

    async with lateness() as late:
        waits = await asyncio.gather(write(log, room_id, "a"), write(other, room_id, "b"))

    rows, _ = await log.read(room_id, limit=1000)
    assert seqs(rows) == list(range(1, 2 * EACH + 1))
    assert len({row.id for row in rows}) == 2 * EACH
    assert max(waits) < LONGEST_WAIT_S + late.seconds, waits
