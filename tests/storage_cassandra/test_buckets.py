"""A room's log across the edge of a bucket: 4096 events, and what the last batch adds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from server.kernel.clock import System, Virtual
from server.kernel.ids import LogId, RandomIds, RoomId, Seq
from storage.api import Batch, Claim, Event, Refused
from storage.cassandra import CassandraLog, open_cassandra
from storage.cassandra.rows import BUCKET
from tests.support.cassandra_log import shared_config
from tests.support.stores import ALICE, batch, body, claim, event, seqs

pytestmark = pytest.mark.slow

_ids = RandomIds()


def dated() -> str:
    """A client id as clients make them."""
    return _ids.new(System().now_ms())


async def fill_to(log: CassandraLog, room_id: RoomId, head: int, kinds: Sequence[str]) -> None:
    """Without claims: they are not what these tests are slow for."""
    await log.create(room_id, LogId("log-1"))
    for start in range(0, head, 256):
        end = min(start + 256, head)
        rows = (
            event(s, room_id=room_id, type=kinds[s % len(kinds)]) for s in range(start + 1, end + 1)
        )
        assert await log.append(Batch(room_id, Seq(start), tuple(rows))) is None


def some(room_id: RoomId, first: int, last: int) -> tuple[Event, ...]:
    return tuple(event(seq, room_id=room_id) for seq in range(first, last + 1))


async def test_a_batch_across_the_edge_is_whole_and_the_log_goes_on(
    log: CassandraLog, other: CassandraLog, room_id: RoomId
) -> None:
    await fill_to(log, room_id, BUCKET - 6, ["message", "reaction"])

    crossing = await log.append(
        Batch(room_id, Seq(BUCKET - 6), some(room_id, BUCKET - 5, BUCKET + 4))
    )
    first_of_next = await log.append(batch(*some(room_id, BUCKET + 5, BUCKET + 7), room_id=room_id))

    assert (crossing, first_of_next) == (None, None)
    edge = list(range(BUCKET - 8, BUCKET + 8))
    for process in (log, other):
        assert (await process.heads([room_id]))[room_id].head == BUCKET + 7
        forward, more = await process.read(room_id, after=Seq(BUCKET - 9), limit=100)
        assert (seqs(forward), more) == (edge, False)
        back, more = await process.read(room_id, limit=16, newest=True)
        assert (seqs(back), more) == (edge, True)
        part, more = await process.read(room_id, after=Seq(BUCKET + 1), limit=5)
        assert (seqs(part), more) == (edge[10:15], True)
        view, more = await process.read(room_id, after=Seq(BUCKET - 10), limit=99, messages=True)
        assert (seqs(view), more) == ([BUCKET - 8, BUCKET - 6, *edge[3:]], False)
        view, more = await process.read(room_id, limit=14, newest=True, messages=True)
        assert (seqs(view), more) == ([BUCKET - 6, *edge[3:]], True)
        found = await process.rows(room_id, [Seq(BUCKET + 2), Seq(BUCKET + 6), Seq(BUCKET + 9)])
        assert sorted(found) == [BUCKET + 2, BUCKET + 6]
        point = (room_id, Seq(BUCKET + 3))
        assert await process.counts([point]) == {point: BUCKET + 3}


async def test_a_stale_writer_is_refused_and_told_the_head_in_another_bucket(
    log: CassandraLog, other: CassandraLog, room_id: RoomId
) -> None:
    await fill_to(log, room_id, BUCKET - 1, ["message"])
    await other.heads([room_id])
    await log.append(batch(*some(room_id, BUCKET, BUCKET + 1), room_id=room_id))
    await log.append(batch(*some(room_id, BUCKET + 2, BUCKET + 2), room_id=room_id))

    within = await other.append(Batch(room_id, Seq(BUCKET - 1), some(room_id, BUCKET, BUCKET)))
    opening = await other.append(
        Batch(room_id, Seq(BUCKET + 1), some(room_id, BUCKET + 2, BUCKET + 2))
    )
    ahead = await other.append(
        Batch(room_id, Seq(2 * BUCKET), some(room_id, 2 * BUCKET + 1, 2 * BUCKET + 1))
    )

    assert [within, opening, ahead] == [Refused(Seq(BUCKET + 2), {})] * 3


async def test_a_retry_across_the_edge_is_stored_once(
    log: CassandraLog, other: CassandraLog, room_id: RoomId
) -> None:
    await fill_to(log, room_id, BUCKET - 1, ["message"])
    key = dated()
    first = event(BUCKET, room_id=room_id, client_id=key)
    await log.append(batch(first, room_id=room_id))
    await log.append(batch(event(BUCKET + 1, room_id=room_id, client_id=dated()), room_id=room_id))
    again = batch(event(BUCKET + 2, room_id=room_id, client_id=key), room_id=room_id)

    refusals = [await log.append(again), await other.append(again)]

    assert refusals == [Refused(Seq(BUCKET + 1), {(ALICE, key): claim(BUCKET, key)})] * 2
    assert await other.claims(room_id, [(ALICE, key)]) == {(ALICE, key): claim(BUCKET, key)}


async def test_a_claim_alone_on_a_full_bucket_goes_to_the_next(
    log: CassandraLog, other: CassandraLog, room_id: RoomId
) -> None:
    await fill_to(log, room_id, BUCKET, ["message"])
    alone = Claim(ALICE, dated(), Seq(5), b"d" * 16, 1_000)

    stored = await log.append(Batch(room_id, Seq(BUCKET), (), (alone,)))
    by_other = await other.append(
        Batch(room_id, Seq(BUCKET), some(room_id, BUCKET + 1, BUCKET + 1))
    )

    assert (stored, by_other) == (None, None)
    head = (await log.heads([room_id]))[room_id]
    assert (head.head, head.n) == (BUCKET + 1, BUCKET + 1)
    assert await other.claims(room_id, [(ALICE, alone.client_id)]) == {
        (ALICE, alone.client_id): alone
    }


async def test_what_a_dead_process_left_to_blank_in_an_older_bucket_is_blanked(
    other: CassandraLog, room_id: RoomId, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Virtual(System().now_ms())
    log = await open_cassandra(shared_config(), clock=clock)
    await fill_to(log, room_id, BUCKET, ["message"])
    blanks = log._blanks

    async def die(*_: object) -> None: ...

    monkeypatch.setattr(blanks, "run_errand", die)
    deletion = event(BUCKET + 1, room_id=room_id, type="delete", target_seq=Seq(7), content={})
    await log.append(Batch(room_id, Seq(BUCKET), (deletion,), (), ((Seq(7), "deleted"),)))
    left = (await other.rows(room_id, [Seq(7)]))[Seq(7)]
    monkeypatch.undo()

    clock.advance(60)
    await log.due(0, 1)

    swept = (await other.rows(room_id, [Seq(7)]))[Seq(7)]
    assert (body(left) is None, left.gone, body(swept), swept.gone) == (
        False,
        None,
        None,
        "deleted",
    )
    await log.close()


async def test_whole_buckets_are_dropped_and_their_heads_stay(
    log: CassandraLog, other: CassandraLog, room_id: RoomId
) -> None:
    await fill_to(log, room_id, BUCKET + 10, ["message"])

    await log.drop_before(room_id, Seq(BUCKET + 5))

    for process in (log, other):
        head = (await process.heads([room_id]))[room_id]
        assert (head.head, head.first_seq) == (BUCKET + 10, BUCKET + 5)
        rows, more = await process.read(room_id, limit=100)
        assert (seqs(rows), more) == (list(range(BUCKET + 5, BUCKET + 11)), False)
        assert await process.rows(room_id, [Seq(3), Seq(BUCKET + 4)]) == {}
    assert (
        await other.append(
            Batch(room_id, Seq(BUCKET + 10), some(room_id, BUCKET + 11, BUCKET + 11))
        )
        is None
    )
