"""A conditional batch whose answer is lost is resolved by reading, and never sent by the driver."""

from __future__ import annotations

import asyncio

import pytest

from server.kernel.ids import LogId, RoomId, Seq
from storage.api import Batch, Refused
from storage.cassandra import CassandraLog
from tests.support.cql_proxy import Fault, Proxy
from tests.support.stores import ALICE, batch, claim, event, seqs

pytestmark = pytest.mark.slow

Proxied = tuple[CassandraLog, Proxy]


def one(room_id: RoomId, seq: int) -> Batch:
    return batch(event(seq, room_id=room_id), room_id=room_id)


@pytest.mark.parametrize("fault", ["cut_after", "swallow", "error_after"])
async def test_what_was_stored_without_an_answer_is_not_sent_again(
    proxied: Proxied, room_id: RoomId, fault: Fault
) -> None:
    log, proxy = proxied
    await log.create(room_id, LogId("log-1"))
    before = proxy.batches
    proxy.faults.append(fault)

    assert await log.append(one(room_id, 1)) is None

    assert proxy.batches - before == 1
    assert seqs((await log.read(room_id, limit=9))[0]) == [1]


@pytest.mark.parametrize("fault", ["cut_before", "error_before"])
async def test_what_was_lost_on_the_way_is_sent_once_more_by_us(
    proxied: Proxied, room_id: RoomId, fault: Fault
) -> None:
    log, proxy = proxied
    await log.create(room_id, LogId("log-1"))
    before = proxy.batches
    proxy.faults.append(fault)

    assert await log.append(one(room_id, 1)) is None

    assert proxy.batches - before == 2
    assert seqs((await log.read(room_id, limit=9))[0]) == [1]


@pytest.mark.parametrize("fault", ["cut_after", "error_after", "cut_before"])
async def test_a_refusal_whose_answer_is_lost_is_told_all_the_same(
    proxied: Proxied, room_id: RoomId, other: CassandraLog, fault: Fault
) -> None:
    log, proxy = proxied
    await other.create(room_id, LogId("log-1"))
    await other.append(one(room_id, 1))
    again = event(1, room_id=room_id, id="again")
    proxy.faults.append(fault)

    refused = await log.append(batch(again, room_id=room_id))

    assert refused == Refused(Seq(1), {(ALICE, "client-1"): claim(1)})
    assert seqs((await log.read(room_id, limit=9))[0]) == [1]


async def test_another_who_took_the_place_meanwhile_is_not_mistaken_for_us(
    proxied: Proxied, room_id: RoomId, other: CassandraLog
) -> None:
    log, proxy = proxied
    await other.create(room_id, LogId("log-1"))
    proxy.faults.append("cut_before")
    theirs = event(1, room_id=room_id, id="theirs", client_id="their-client")

    lost = log.append(one(room_id, 1))
    won = await other.append(batch(theirs, room_id=room_id))
    refused = await lost

    assert (won is None) != (refused is None)
    rows, _ = await other.read(room_id, limit=9)
    assert [row.id for row in rows] == ["theirs" if won is None else "event-1"]


async def test_claims_alone_survive_a_lost_answer(proxied: Proxied, room_id: RoomId) -> None:
    log, proxy = proxied
    await log.create(room_id, LogId("log-1"))
    await log.append(one(room_id, 1))
    proxy.faults.append("cut_after")

    stored = await log.append(Batch(room_id, Seq(1), (), (claim(1, "another"),)))

    assert stored is None
    assert set(await log.claims(room_id, [(ALICE, "another")])) == {(ALICE, "another")}


async def test_no_answer_lost_under_load_doubles_or_loses_an_event(
    proxied: Proxied, room_id: RoomId
) -> None:
    log, proxy = proxied
    await log.create(room_id, LogId("log-1"))
    faults: list[Fault] = ["cut_after", "error_after", "cut_before", "error_before", "cut_after"]

    for seq in range(1, 41):
        if seq % 8 == 0:
            proxy.faults.append(faults[seq // 8 - 1])
        async with asyncio.timeout(15):
            assert await log.append(one(room_id, seq)) is None

    rows, more = await log.read(room_id, limit=100)
    assert (seqs(rows), more) == (list(range(1, 41)), False)
    assert len({row.id for row in rows}) == 40
