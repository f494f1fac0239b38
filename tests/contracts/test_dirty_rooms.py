"""What `storage.api.DirtyRooms` promises, over all implementations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.kernel.clock import Virtual
from server.kernel.ids import NodeId, RoomId, Seq
from storage.api import DirtyRooms
from storage.memory import open_memory
from storage.postgres import open_postgres
from tests.support.servers.postgres import empty_database

ONE, TWO, THREE = NodeId("one"), NodeId("two"), NodeId("three")
GARDEN, KITCHEN = RoomId("garden"), RoomId("kitchen")


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.slow)])
async def dirty(request: pytest.FixtureRequest) -> AsyncIterator[DirtyRooms]:
    store = (
        open_memory(shared=True)
        if request.param == "memory"
        else await open_postgres(await empty_database(), clock=Virtual())
    )
    assert store.dirty is not None
    yield store.dirty
    await store.close()


async def test_a_marked_room_is_marked_until_it_is_cleared(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {GARDEN: Seq(3), KITCHEN: Seq(0)})

    assert await dirty.rooms() == {GARDEN, KITCHEN}
    await dirty.clear(ONE, [GARDEN, RoomId("cellar")])
    assert await dirty.rooms() == {KITCHEN}


async def test_marks_of_a_room_by_two_nodes_are_two(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {GARDEN: Seq(3)})
    await dirty.mark(TWO, {GARDEN: Seq(4)})

    await dirty.clear(ONE, [GARDEN])

    assert await dirty.rooms() == {GARDEN}


async def test_nodes_with_marks_are_told_in_order(dirty: DirtyRooms) -> None:
    for node in (TWO, ONE, THREE):
        await dirty.mark(node, {GARDEN: Seq(1)})
    await dirty.clear(THREE, [GARDEN])

    assert await dirty.nodes() == [ONE, TWO]


async def test_marking_and_clearing_nothing_is_allowed(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {})
    await dirty.clear(ONE, [])

    assert await dirty.nodes() == []
    assert await dirty.take_over(ONE, TWO) == {}


async def test_of_two_marks_the_smaller_seq_stays(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {GARDEN: Seq(5), KITCHEN: Seq(5)})
    await dirty.mark(ONE, {GARDEN: Seq(7), KITCHEN: Seq(2)})

    assert await dirty.take_over(ONE, TWO) == {GARDEN: 5, KITCHEN: 2}


async def test_what_a_dead_node_left_moves_to_another(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {GARDEN: Seq(5)})

    taken = await dirty.take_over(ONE, TWO)

    assert taken == {GARDEN: 5}
    assert await dirty.nodes() == [TWO]
    assert await dirty.take_over(ONE, TWO) == {}


async def test_taking_over_a_room_that_one_has_keeps_the_smaller_seq(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {GARDEN: Seq(5), KITCHEN: Seq(2)})
    await dirty.mark(TWO, {GARDEN: Seq(3), KITCHEN: Seq(9)})

    await dirty.take_over(ONE, TWO)

    assert await dirty.take_over(TWO, THREE) == {GARDEN: 3, KITCHEN: 2}


async def test_marks_are_taken_over_in_portions(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {RoomId(f"room-{i}"): Seq(i) for i in range(5)})

    portions = [await dirty.take_over(ONE, TWO, limit=2) for _ in range(4)]

    assert [len(portion) for portion in portions] == [2, 2, 1, 0]
    assert len(await dirty.rooms()) == 5


async def test_taking_over_from_oneself_tells_the_marks_and_keeps_them(dirty: DirtyRooms) -> None:
    await dirty.mark(ONE, {GARDEN: Seq(5)})

    assert await dirty.take_over(ONE, ONE) == {GARDEN: 5}

    assert await dirty.nodes() == [ONE]


async def test_of_several_who_take_over_at_once_each_mark_goes_to_one(dirty: DirtyRooms) -> None:
    marks = {RoomId(f"room-{i:03}"): Seq(i) for i in range(200)}
    await dirty.mark(ONE, marks)
    heirs = [NodeId(f"heir-{i}") for i in range(4)]

    async def inherit(heir: NodeId) -> dict[RoomId, Seq]:
        mine: dict[RoomId, Seq] = {}
        while portion := await dirty.take_over(ONE, heir, limit=7):
            assert not mine.keys() & portion.keys()
            mine |= portion
        return mine

    shares = await asyncio.gather(*(inherit(heir) for heir in heirs))

    assert sum(len(share) for share in shares) == len(marks)
    assert {room: seq for share in shares for room, seq in share.items()} == marks
