"""The server dies, freezes, or its answers are lost: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
import time

import pytest

from server.kernel.config import Postgres
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId, RoomId, Seq, UserId
from storage.api import Check, Refused
from storage.guard import FAILURES
from storage.postgres.groups import MAX_WAITING
from tests.storage_postgres.conftest import LIMIT_S, Open
from tests.storage_postgres.writers import Tally, Writer, check_rooms, one
from tests.support.lateness import lateness
from tests.support.links import link_to
from tests.support.servers.postgres import PostgresServer
from tests.support.stores import ALICE, GARDEN
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ROOMS = [RoomId(f"room-{i}") for i in range(12)]
GRACE_S = 0.7
"""What a busy machine may add to a time limit."""


async def until_written(tally: Tally, more: int) -> None:
    goal = tally.total + more
    await until(lambda: tally.total >= goal, timeout_s=20)


async def test_what_was_acknowledged_survives_kill_9_once_and_in_order(
    server: PostgresServer, database: Postgres, open_store: Open
) -> None:
    store = await open_store(database)
    for room in ROOMS:
        await store.log.create(room, LogId("log"))
    tally = Tally()
    writers = [Writer(store.log, room, f"{room}-w", tally) for room in ROOMS]

    async with lateness() as late:
        running = [asyncio.create_task(writer.run()) for writer in writers]
        for _ in range(2):
            await until_written(tally, 200)
            server.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)
        await until_written(tally, 200)
        tally.stopped = True
        await asyncio.gather(*running)

    assert tally.unavailable > 0
    assert tally.slowest_s < LIMIT_S + GRACE_S + late.longest_s
    await check_rooms(store.log, tally, ROOMS)


async def test_a_frozen_server_costs_each_call_its_limit_and_then_nothing(
    server: PostgresServer, database: Postgres, open_store: Open
) -> None:
    store = await open_store(database)
    await store.log.create(GARDEN, LogId("log"))
    assert await store.log.append(one(GARDEN, 1, "before")) is None

    server.freeze()
    async with lateness() as late:
        started = time.monotonic()
        calls = [store.accounts.users([UserId("a")]) for _ in range(FAILURES)]
        ends = await asyncio.gather(
            store.log.append(one(GARDEN, 2, "x")), *calls, return_exceptions=True
        )
        frozen_s = time.monotonic() - started
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await store.accounts.users([UserId("a")])
        with pytest.raises(Unavailable):
            await store.log.append(one(GARDEN, 2, "y"))
        refused_s = time.monotonic() - started
    server.thaw()

    assert {type(end) for end in ends} == {Unavailable}
    assert frozen_s < LIMIT_S + GRACE_S + late.seconds
    assert refused_s < LIMIT_S / 2 + late.seconds
    async with asyncio.timeout(5):
        while not await passes(store.check):  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.05)
    head = (await store.log.heads([GARDEN]))[GARDEN].head
    assert await store.log.append(one(GARDEN, head + 1, "after")) is None


async def passes(check: Check) -> bool:
    try:
        await check()
    except Unavailable:
        return False
    return True


async def test_an_append_whose_answer_is_lost_is_found_by_reading(
    server: PostgresServer, database: Postgres, open_store: Open
) -> None:
    async with link_to("127.0.0.1", server.port) as link:
        store = await open_store(database, port=link.port)
        await store.log.create(GARDEN, LogId("log"))
        assert await store.log.append(one(GARDEN, 1, "first")) is None

        link.blackhole("down")
        with pytest.raises(Unavailable):
            await store.log.append(one(GARDEN, 2, "second"))
        link.reset()
        link.heal()

        claims = await store.log.claims(GARDEN, [(ALICE, "second")])
        again = await store.log.append(one(GARDEN, 3, "second"))
        assert claims[ALICE, "second"].seq == 2
        assert again == Refused(Seq(2), claims)


async def test_an_append_that_did_not_arrive_leaves_nothing(
    server: PostgresServer, database: Postgres, open_store: Open
) -> None:
    async with link_to("127.0.0.1", server.port) as link:
        store = await open_store(database, port=link.port)
        await store.log.create(GARDEN, LogId("log"))

        link.change("up", lambda data: b"")
        with pytest.raises(Unavailable):
            await store.log.append(one(GARDEN, 1, "lost"))
        link.reset()
        link.heal()

        assert await store.log.claims(GARDEN, [(ALICE, "lost")]) == {}
        assert await store.log.append(one(GARDEN, 1, "lost")) is None


async def test_broken_connections_are_replaced_at_the_next_call(
    server: PostgresServer, database: Postgres, open_store: Open
) -> None:
    async with link_to("127.0.0.1", server.port) as link:
        store = await open_store(database, port=link.port, limit_s=10.0)
        await asyncio.gather(*(store.accounts.count_users() for _ in range(20)))

        link.reset()
        await asyncio.sleep(0.05)

        assert await store.accounts.count_users() == 0


async def test_two_stores_that_duel_leave_no_hole_and_no_double(
    database: Postgres, open_store: Open
) -> None:
    stores = [await open_store(database) for _ in range(2)]
    await stores[0].log.create(GARDEN, LogId("log"))
    await stores[0].log.create(RoomId("room"), LogId("log"))
    tally = Tally()
    writers = [
        Writer(store.log, room, f"{i}-{k}", tally)
        for i, store in enumerate(stores)
        for room in (GARDEN, RoomId("room"))
        for k in range(3)
    ]
    running = [asyncio.create_task(writer.run()) for writer in writers]

    await until_written(tally, 400)
    tally.stopped = True
    await asyncio.gather(*running)

    assert tally.refused > 0
    assert tally.unavailable == 0
    await check_rooms(stores[1].log, tally, [GARDEN, RoomId("room")])


async def test_one_batch_that_cannot_be_stored_does_not_spoil_those_beside_it(
    database: Postgres, open_store: Open
) -> None:
    store = await open_store(database)
    for room in ROOMS:
        await store.log.create(room, LogId("log"))

    waiting = [
        store.log.append(one(room, 1, "bad\0id" if i == 3 else f"good-{i}"))
        for i, room in enumerate(ROOMS)
    ]
    ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [end is None for end in ends] == [i != 3 for i in range(len(ROOMS))]
    assert isinstance(ends[3], ValueError)


async def test_what_waits_has_a_bound(database: Postgres, open_store: Open) -> None:
    store = await open_store(database, limit_s=20.0)

    waiting = [store.log.append(one(RoomId(f"{i}"), 1, "x")) for i in range(MAX_WAITING)]
    with pytest.raises(Unavailable, match="overloaded"):
        await store.log.append(one(GARDEN, 1, "x"))

    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(end) for end in ends} == {LookupError}


async def test_closing_waits_for_what_was_submitted(database: Postgres, open_store: Open) -> None:
    store = await open_store(database)
    for room in ROOMS:
        await store.log.create(room, LogId("log"))
    waiting = [store.log.append(one(room, seq, f"{seq}")) for room in ROOMS for seq in (1, 2)]

    await store.close()

    assert [end.result() for end in waiting] == [None] * len(waiting)
    with pytest.raises(Unavailable):
        await store.log.append(one(GARDEN, 1, "late"))


async def test_what_cannot_be_stored_is_not_found(database: Postgres, open_store: Open) -> None:
    store = await open_store(database)

    assert await store.accounts.user_by_name("a\0b") is None
    assert await store.accounts.search_users("\ud800", among=None, limit=5) == []
    assert await store.log.rows(RoomId("a\0b"), [Seq(1)]) == {}
    assert await store.projections.public_rooms("\0") == []
    assert await store.log.rows(GARDEN, [Seq(2**70)]) == {}
