"""Rooms over several nodes, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.chat import announce
from server.chat.announce import encoded_event
from server.chat.relay import teller
from server.kernel.ids import UserId
from server.kernel.outlet import RoomEvent
from tests.support.chat_house import ROOMS, Person, make_room
from tests.support.many_house import ManyHouse, open_many


@pytest.fixture
async def many() -> AsyncIterator[ManyHouse]:
    async with open_many() as opened:
        yield opened


async def people(many: ManyHouse, *names: str) -> list[Person]:
    """Each at a node of his own, as far as there are nodes."""
    found = []
    for number, name in enumerate(names):
        found += await many.nodes[number % len(many.nodes)].joins(name)
    return found


def heard(person: Person, room: str) -> list[int]:
    return [event["seq"] for event in person.hears(room)]


async def test_a_message_reaches_members_at_every_node_once_and_in_order(many: ManyHouse) -> None:
    alice, bob, carol = await people(many, "alice", "bob", "carol")
    room = await make_room(alice, bob, carol)

    await alice.says(room, "one")
    await bob.says(room, "two")
    await carol.says(room, "three")
    await many.settle()

    assert heard(alice, room) == heard(bob, room) == heard(carol, room) == [1, 2, 3, 4, 5, 6, 7]


async def test_what_others_see_of_a_message_is_cut_once_at_each_node(
    many: ManyHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at the node that stored it."""
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.settle()
    cuts: list[bytes] = []

    def cut(sender_id: UserId, client_id: str | None, own: bytes) -> RoomEvent:
        cuts.append(own)
        return encoded_event(sender_id, client_id, own)

    monkeypatch.setattr(announce, "encoded_event", cut)
    monkeypatch.setattr(teller, "encoded_event", cut)
    await alice.says(room, "one")
    await many.settle()

    assert len(cuts) == len({alice.house, bob.house})
    assert "client_id" in alice.socket.events(room)[-1]
    assert "client_id" not in bob.socket.events(room)[-1]


async def test_a_new_room_is_added_before_its_events_at_every_node(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")

    room = await make_room(alice, bob, name="Garden")
    await many.settle()

    names = [name for name, _ in bob.socket.heard]
    assert names == ["room:added", "room:event", "room:event", "room:event"]
    assert bob.socket.heard[0][1]["room"]["id"] == room


async def test_who_is_added_later_hears_from_his_own_event_on(many: ManyHouse) -> None:
    alice, bob, carol = await people(many, "alice", "bob", "carol")
    room = await make_room(alice, bob)

    await alice.says(room)
    await alice.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["carol"]})
    await alice.says(room)
    await many.settle()

    assert heard(carol, room) == [5, 6]
    assert carol.socket.heard[0][0] == "room:added"


async def test_who_is_removed_at_another_node_hears_so_last(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)

    await alice.calls("DELETE", f"{ROOMS}/{room}/members/bob")
    await many.settle()
    await alice.says(room)
    await many.settle()

    assert heard(bob, room) == [1, 2, 3, 4]
    assert bob.socket.heard[-1][0] == "room:removed"
    error = await bob.denied("GET", f"{ROOMS}/{room}/events")
    assert error.code == "not_found"


async def test_a_send_right_after_being_added_elsewhere_is_taken(many: ManyHouse) -> None:
    alice, bob, carol = await people(many, "alice", "bob", "carol")
    room = await make_room(alice, bob)
    await bob.says(room)
    many.cluster.drop_matching(lambda *_: True)

    await alice.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["carol"]})
    sent = await many.nodes[1].event(carol.ctx, "message:send", message(many, room))

    assert sent["seq"] == 6


async def test_the_lost_last_message_is_heard_within_15_s(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.settle()
    many.cluster.drop_matching(lambda publisher, channel, data: channel.startswith("r:"))
    await alice.says(room, "the last")
    await many.settle()
    assert heard(bob, room) == [1, 2, 3]

    await many.passes(15)

    assert heard(bob, room) == [1, 2, 3, 4]


async def test_a_lost_message_in_the_middle_is_heard_in_order(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.settle()
    many.cluster.drop_next(1, lambda publisher, channel, data: channel.startswith("r:"))
    await alice.says(room, "lost")
    await alice.says(room, "heard")

    await many.passes(1)

    assert heard(bob, room) == [1, 2, 3, 4, 5]


async def test_a_node_that_was_cut_off_hears_all_of_it_when_it_is_back(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.settle()
    many.cluster.cut(many.nodes[1].node_id)
    for number in range(5):
        await alice.says(room, f"{number}")
    await bob.says(room, "mine goes through")

    many.cluster.heal()
    await many.passes(2)

    assert heard(bob, room) == heard(alice, room) == list(range(1, 10))


async def test_what_a_node_said_while_it_was_cut_off_is_heard_once_it_is_back(
    many: ManyHouse,
) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.passes(10)
    many.cluster.cut(many.nodes[0].node_id)
    await alice.says(room, "into the void")
    await many.settle()

    many.cluster.heal()
    await many.passes(1)

    assert heard(bob, room) == [1, 2, 3, 4]


async def test_a_room_made_while_nobody_could_be_told_is_found(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    many.cluster.drop_matching(lambda *_: True)
    room = await make_room(alice, bob)
    await many.settle()
    assert heard(bob, room) == []

    await many.passes(15)

    assert heard(bob, room)[-1] == 3
    assert "room:added" in [name for name, _ in bob.socket.heard]


async def test_what_a_dying_node_stored_last_is_told_by_another(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.settle()
    many.cluster.drop_matching(lambda publisher, *_: publisher == many.nodes[0].node_id)
    await alice.says(room, "the last words")
    await many.nodes[0].dies()

    await many.passes(15)

    assert heard(bob, room) == [1, 2, 3, 4]
    marked = await many.store.dirty.nodes()  # type: ignore[union-attr]
    assert many.nodes[0].node_id not in marked


async def test_marks_are_cleared_once_a_room_is_silent(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    assert room in await many.store.dirty.rooms()  # type: ignore[union-attr]

    await many.passes(90)

    assert await many.store.dirty.rooms() == set()  # type: ignore[union-attr]


async def test_two_nodes_that_write_at_once_lose_and_double_nothing(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)

    for number in range(20):
        sends = [person.says(room, f"{number}") for person in (alice, bob)]
        for send in sends:
            await send
    await many.passes(1)

    assert heard(alice, room) == heard(bob, room) == list(range(1, 44))


async def test_typing_and_receipts_cross_nodes(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await alice.says(room)
    await many.settle()

    await bob.asks("typing:set", room_id=room, typing=True)
    await bob.asks("receipt:set", room_id=room, read_seq=4)
    await many.settle()

    typing = {"room_id": room, "user_id": "bob", "typing": True}
    assert alice.socket.named("room:typing") == [typing]
    assert [receipt["read_seq"] for receipt in alice.socket.named("room:receipt")][-1] == 4


async def test_a_reader_of_a_broadcast_room_hears_it_from_another_node(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, kind="broadcast", visibility="public", name="News")

    await alice.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["bob"]})
    await many.settle()
    await alice.says(room, "news")
    await many.settle()
    await alice.calls("DELETE", f"{ROOMS}/{room}/members/bob")
    await many.settle()
    await alice.says(room, "more news")
    await many.settle()

    names = [name for name, _ in bob.socket.heard]
    assert names == ["room:added", "room:event", "room:removed"]


async def test_a_block_holds_at_other_nodes(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob, kind="direct", member_ids=["bob"])
    await bob.says(room)

    await alice.calls("PUT", "/api/v1/blocks/bob")
    await many.settle()

    payload = message(many, room)
    assert (await bob.refused("message:send", **payload)).code == "forbidden"


async def test_a_room_that_nobody_here_hears_any_more_is_let_go(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await many.settle()
    assert room in many.nodes[1].relay.rooms.followed

    await bob.drops()
    await many.passes(60)

    assert room not in many.nodes[1].relay.rooms.followed
    assert "bob" not in many.nodes[1].relay.users.here


async def test_history_is_as_of_the_newest_append_of_any_node(many: ManyHouse) -> None:
    alice, bob = await people(many, "alice", "bob")
    room = await make_room(alice, bob)
    await bob.says(room)
    many.cluster.drop_matching(lambda *_: True)

    await alice.says(room, "unheard")
    page = await bob.calls("GET", f"{ROOMS}/{room}/events")

    assert page["head"] == page["events"][-1]["seq"] == 5


def message(many: ManyHouse, room: str) -> dict[str, Any]:
    content = {"type": "text", "body": "hello"}
    return {"room_id": room, "client_id": many.nodes[1].client_id(), "content": content}
