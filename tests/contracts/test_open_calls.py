"""What `storage.api.OpenCalls` promises, over all implementations."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from server.kernel.ids import NodeId, RoomId
from storage.api import CallRow, Store

ONE, TWO = NodeId("one"), NodeId("two")
GARDEN, KITCHEN = RoomId("garden"), RoomId("kitchen")


def call(call_id: str = "call-1", **given: object) -> CallRow:
    fields = {"room_id": GARDEN, "owner": ONE, "running": True, "state": '{"a": "ä"}', **given}
    return CallRow(call_id, **fields)  # type: ignore[arg-type]


async def test_a_claimed_call_is_found_by_id_and_by_room(store: Store) -> None:
    assert await store.calls.claim(call()) == call()

    assert await store.calls.get("call-1") == call()
    assert await store.calls.in_room(GARDEN) == call()
    assert await store.calls.in_room(KITCHEN) is None
    assert await store.calls.get("call-2") is None


async def test_a_room_has_one_running_call(store: Store) -> None:
    await store.calls.claim(call())

    assert await store.calls.claim(call("call-2", owner=TWO)) == call()
    assert await store.calls.claim(call("call-3", room_id=KITCHEN)) == call(
        "call-3", room_id=KITCHEN
    )
    assert [row.id for row in await store.calls.all()] == ["call-1", "call-3"]


async def test_of_several_claims_at_once_one_wins(store: Store) -> None:
    claims = [call(f"call-{n}") for n in range(5)]

    won = await asyncio.gather(*(store.calls.claim(each) for each in claims))

    assert len({row.id for row in won}) == 1
    assert [row.id for row in await store.calls.all()] == [won[0].id]


async def test_a_call_that_ended_leaves_its_room_to_the_next(store: Store) -> None:
    await store.calls.claim(call())
    ended = call(running=False, state='{"ended": 1}')

    assert await store.calls.put(ended)

    assert await store.calls.in_room(GARDEN) is None
    assert await store.calls.get("call-1") == ended
    assert await store.calls.claim(call("call-2")) == call("call-2")


async def test_only_the_owner_writes(store: Store) -> None:
    await store.calls.claim(call())

    assert not await store.calls.put(call(owner=TWO, state="{}"))
    assert not await store.calls.put(call("call-2"))
    assert await store.calls.all() == [call()]


async def test_of_several_who_take_over_one_wins(store: Store) -> None:
    await store.calls.claim(call())

    taken = await asyncio.gather(
        *(store.calls.take_over("call-1", ONE, NodeId(f"heir-{n}")) for n in range(5))
    )

    won = [row for row in taken if row is not None]
    assert len(won) == 1
    assert won[0] == replace(call(), owner=won[0].owner)
    assert not await store.calls.put(call())
    assert await store.calls.take_over("call-9", ONE, TWO) is None


async def test_a_dropped_call_is_gone(store: Store) -> None:
    await store.calls.claim(call())

    await store.calls.drop("call-1")
    await store.calls.drop("call-1")

    assert await store.calls.all() == []
    assert not await store.calls.put(call())
