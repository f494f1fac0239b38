"""Calls in real rooms: membership, blocks, and the event in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.chat.wiring import Chat
from server.compose.calls import ChatCallLog, ChatRooms, LeavingOutlet
from server.kernel.errors import AppError, Forbidden, NotFound
from server.kernel.ids import RoomId
from server.kernel.shapes import fit
from signaling.views import CallRecord
from signaling.wiring import CallsPart, Urls, build
from tests.support.chat_house import House, Person


class CallingHouse(House):
    """A house with calls. `rings` and `told`: what a person's socket heard of them."""

    calls: CallsPart
    leaving: LeavingOutlet

    def make_chat(self) -> Chat:
        self.leaving = LeavingOutlet(self.outlet)
        return Chat(
            self.store, self.leaving, clock=self.clock, ids=self.ids,
            config=self.config, tasks=self.tasks,
        )  # fmt: skip

    async def begins(self) -> None:
        self.calls = await build(
            self.store, rooms=ChatRooms(self.chat), call_log=ChatCallLog(self.chat),
            outlet=self.outlet, urls=Urls(), clock=self.clock, ids=self.ids,
            tasks=self.tasks,
        )  # fmt: skip
        self.leaving.calls = self.calls

    async def does(self, person: Person, name: str, **payload: Any) -> Any:
        bound = next(each for each in self.calls.events if each.name == name)
        answer = await bound.handler(person.ctx, fit(payload, bound.shape))
        await self.settle()
        return answer


@pytest.fixture
async def house() -> AsyncIterator[CallingHouse]:
    opened = CallingHouse()
    await opened.begins()
    yield opened
    await opened.calls.close()
    await opened.chat.close()
    await opened.tasks.close()


async def direct(alice: Person, bob: Person) -> str:
    body = {"kind": "direct", "member_ids": [bob.id]}
    room: str = (await alice.calls("POST", "/api/v1/rooms", body))["id"]
    return room


async def test_a_call_is_an_event_that_everybody_hears(house: CallingHouse) -> None:
    alice, bob = await house.joins("alice", "bob")
    room_id = await direct(alice, bob)
    joined = await house.does(alice, "call:start", room_id=room_id, media="audio")
    house.clock.advance(3)
    await house.does(bob, "call:accept", call_id=joined.call.id)
    house.clock.advance(60)

    await house.does(alice, "call:leave", call_id=joined.call.id)

    event = bob.hears(room_id)[-1]
    assert (event["type"], event["sender_id"], event["seq"]) == ("call", "alice", 4)
    assert "client_id" not in event
    content = event["content"]
    assert (content["call_id"], content["outcome"]) == (joined.call.id, "hung_up")
    assert content["ended_at"] - content["started_at"] == 63_000
    assert [each["user_id"] for each in content["participants"]] == ["alice", "bob"]
    page = await bob.calls("GET", f"/api/v1/rooms/{room_id}/events")
    assert page["events"][-1] == event


async def test_a_call_does_not_count_as_unread(house: CallingHouse) -> None:
    alice, bob = await house.joins("alice", "bob")
    room_id = await direct(alice, bob)
    joined = await house.does(alice, "call:start", room_id=room_id, media="audio")
    await house.does(bob, "call:decline", call_id=joined.call.id)

    room = await bob.calls("GET", f"/api/v1/rooms/{room_id}")

    assert (room["head"], room["unread"]) == (4, 0)


async def test_the_same_end_is_written_once(house: CallingHouse) -> None:
    alice, bob = await house.joins("alice", "bob")
    room_id = await direct(alice, bob)
    now = house.clock.now_ms()
    call_id = house.ids.new(now)
    record = CallRecord(
        call_id, RoomId(room_id), alice.id, alice.ctx.device_id, "audio", now, now, "failed", ()
    )
    call_log = ChatCallLog(house.chat)

    await call_log.append(record)
    await call_log.append(record)
    await house.settle()

    assert [each["type"] for each in bob.hears(room_id)].count("call") == 1


async def test_a_stranger_neither_calls_nor_joins(house: CallingHouse) -> None:
    alice, bob, eve = await house.joins("alice", "bob", "eve")
    room_id = await direct(alice, bob)
    joined = await house.does(alice, "call:start", room_id=room_id, media="audio")

    with pytest.raises(NotFound):
        await house.does(eve, "call:start", room_id=room_id, media="audio")
    with pytest.raises(NotFound):
        await house.does(eve, "call:accept", call_id=joined.call.id)


async def test_a_blocked_one_does_not_call(house: CallingHouse) -> None:
    alice, bob = await house.joins("alice", "bob")
    room_id = await direct(alice, bob)
    await house.store.accounts.set_block(bob.id, alice.id, True)
    house.chat.block_changed(bob.id, alice.id, True)
    await house.settle()

    with pytest.raises(Forbidden):
        await house.does(alice, "call:start", room_id=room_id, media="audio")


async def test_a_removed_member_leaves_the_call(house: CallingHouse) -> None:
    alice, bob = await house.joins("alice", "bob")
    body = {"kind": "group", "name": "garden", "member_ids": ["bob"]}
    room_id = (await alice.calls("POST", "/api/v1/rooms", body))["id"]
    joined = await house.does(alice, "call:start", room_id=room_id, media="audio")
    await house.does(bob, "call:accept", call_id=joined.call.id)

    await alice.calls("DELETE", f"/api/v1/rooms/{room_id}/members/bob")
    await house.settle()

    state = alice.socket.named("call:state")[-1]["call"]
    assert [each["user_id"] for each in state["participants"]] == ["alice"]
    with pytest.raises(AppError):
        await house.does(bob, "call:accept", call_id=joined.call.id)


async def test_who_is_added_hears_of_the_room_first_and_of_its_call_then(
    house: CallingHouse,
) -> None:
    alice, _, carol = await house.joins("alice", "bob", "carol")
    body = {"kind": "group", "name": "garden", "member_ids": ["bob"]}
    room_id = (await alice.calls("POST", "/api/v1/rooms", body))["id"]
    joined = await house.does(alice, "call:start", room_id=room_id, media="audio")

    await alice.calls("POST", f"/api/v1/rooms/{room_id}/members", {"user_ids": ["carol"]})
    await house.settle()

    assert [name for name, _ in carol.socket.heard][:1] == ["room:added"]
    assert carol.socket.named("call:state")[0]["call"]["id"] == joined.call.id
    assert carol.socket.named("call:ringing") == []


async def test_a_reader_of_a_broadcast_room_does_not_call(house: CallingHouse) -> None:
    alice, bob = await house.joins("alice", "bob")
    body = {"kind": "broadcast", "name": "news", "member_ids": ["bob"]}
    room_id = (await alice.calls("POST", "/api/v1/rooms", body))["id"]

    with pytest.raises(Forbidden):
        await house.does(bob, "call:start", room_id=room_id, media="audio")
    joined = await house.does(alice, "call:start", room_id=room_id, media="audio")

    assert joined.call.state == "active"
    assert bob.socket.named("call:ringing") == []
