"""Rooms in which several nodes write at once: one of them goes on alone, nothing is lost or done
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.chat.relay.forward import writer_of
from server.kernel.ids import NodeId, RoomId
from tests.support.chat_house import ROOMS, Person, make_room
from tests.support.many_house import ManyHouse, open_many


@pytest.fixture
async def many() -> AsyncIterator[ManyHouse]:
    async with open_many(2) as opened:
        yield opened


async def contended(many: ManyHouse) -> tuple[str, Person, Person]:
    """A room for which two nodes have duelled; its writer's person comes first."""
    (alice,) = await many.nodes[0].joins("alice")
    (bob,) = await many.nodes[1].joins("bob")
    room = await make_room(alice, bob)
    await many.settle()
    for _ in range(8):
        await asyncio.gather(alice.says(room), bob.says(room))
    await many.settle()
    writer = writer_of(RoomId(room), many.alive())
    return (room, alice, bob) if writer == many.nodes[0].node_id else (room, bob, alice)


def published(many: ManyHouse, node: int) -> list[str]:
    """What channels of commands are written to from now on."""
    seen: list[str] = []

    def note(publisher: NodeId, channel: str, data: bytes) -> bool:
        if channel.startswith("n:") and publisher == many.nodes[node].node_id:
            seen.append(channel)
        return False

    many.cluster.drop_matching(note)
    return seen


def number_of(many: ManyHouse, person: Person) -> int:
    return next(i for i, node in enumerate(many.nodes) if node is person.house)


async def test_after_a_duel_commands_go_to_the_rooms_writer(many: ManyHouse) -> None:
    room, first, second = await contended(many)
    seen = published(many, number_of(many, second))

    sent = await second.says(room, "by another's hand")
    await many.settle()

    writer = many.nodes[number_of(many, first)].node_id
    assert seen == [f"n:{writer}"]
    assert first.hears(room)[-1]["seq"] == second.hears(room)[-1]["seq"] == sent["seq"]
    assert second.hears(room)[-1]["client_id"]


async def test_a_refusal_comes_back_with_its_code(many: ManyHouse) -> None:
    room, _, second = await contended(many)
    seen = published(many, number_of(many, second))

    client_id = many.nodes[0].client_id()
    error = await second.refused("message:delete", room_id=room, client_id=client_id, seq=999)

    assert (error.code, error.field) == ("not_found", "seq")
    assert len(seen) == 1


async def test_changes_of_settings_and_members_travel_too(many: ManyHouse) -> None:
    room, first, second = await contended(many)
    owner = first if first.id == "alice" else second
    if owner is not second:
        await owner.calls("PATCH", f"{ROOMS}/{room}/members/{second.id}", {"role": "owner"})
    await many.nodes[0].joins("carol")
    for _ in range(8):
        await asyncio.gather(first.says(room), second.says(room))
    seen = published(many, number_of(many, second))

    added = await second.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["carol"]})
    view = await second.calls("PATCH", f"{ROOMS}/{room}", {"name": "Kitchen"})
    await second.calls("DELETE", f"{ROOMS}/{room}/members/carol")

    assert added == {"added": ["carol"]}
    assert view["name"] == "Kitchen"
    assert len(seen) == 3


async def test_once_nobody_else_writes_commands_stay_here_again(many: ManyHouse) -> None:
    room, _, second = await contended(many)
    await many.passes(11)
    seen = published(many, number_of(many, second))

    await second.says(room)

    assert seen == []


async def test_what_a_dead_writer_does_not_answer_is_carried_out_here_once(many: ManyHouse) -> None:
    room, first, second = await contended(many)
    await many.nodes[number_of(many, first)].dies()
    many.dead.clear()  # nobody has noticed yet

    sends = [asyncio.ensure_future(second.says(room, f"{n}")) for n in range(5)]
    await many.settle()
    many.dead.add(many.nodes[number_of(many, first)].node_id)
    await many.passes(2)
    answers = await asyncio.gather(*sends)

    log = await many.nodes[number_of(many, second)].log_of(room)
    ids = [event["id"] for event in log]
    assert [ids.count(answer["id"]) for answer in answers] == [1] * 5
    assert [answer["seq"] for answer in answers] == sorted(answer["seq"] for answer in answers)


async def test_an_answer_that_is_lost_does_nothing_twice(many: ManyHouse) -> None:
    room, first, second = await contended(many)
    writer = many.nodes[number_of(many, first)].node_id
    many.cluster.drop_matching(
        lambda publisher, channel, data: publisher == writer and channel.startswith("n:")
    )

    sending = asyncio.ensure_future(second.says(room, "once"))
    await many.passes(2)
    answer = await sending

    log = await many.nodes[0].log_of(room)
    bodies = [event["content"].get("body") for event in log if event["type"] == "message"]
    assert bodies.count("once") == 1
    assert log[answer["seq"] - 1]["id"] == answer["id"]


async def test_commands_of_one_socket_keep_their_order_across_the_change(many: ManyHouse) -> None:
    room, _, second = await contended(many)
    await many.passes(11)
    other = next(node for node in many.nodes if node is not second.house)
    person = next(iter(other.outlet.sockets.values()))

    async def burst(ctx: Any, house: Any, name: str) -> list[Any]:
        sends = []
        for number in range(20):
            payload = {
                "room_id": room, "client_id": house.client_id(),
                "content": {"type": "text", "body": f"{name} {number}"},
            }  # fmt: skip
            sends.append(asyncio.ensure_future(house.event(ctx, "message:send", payload)))
            await asyncio.sleep(0)
        return list(await asyncio.gather(*sends))

    both = await asyncio.gather(burst(second.ctx, second.house, "a"), burst(person.ctx, other, "b"))

    for answers in both:
        seqs = [answer["seq"] for answer in answers]
        assert seqs == sorted(seqs)


async def _says_in_turn(many: ManyHouse, person: Person, room: str) -> list[int]:
    """Two messages of one socket, both under way at once: their seqs in the order sent."""
    sends = []
    for text in ("one", "two"):
        sends.append(asyncio.ensure_future(person.says(room, text)))
        await many.settle()
    await many.passes(3)
    return [answer["seq"] for answer in await asyncio.gather(*sends)]


async def test_a_command_whose_request_was_lost_is_not_overtaken_by_the_next(
    many: ManyHouse,
) -> None:
    room, _, second = await contended(many)
    here, lost = many.nodes[number_of(many, second)].node_id, []

    def lose_the_first(publisher: NodeId, channel: str, data: bytes) -> bool:
        if publisher != here or not channel.startswith("n:"):
            return False
        lost.append(channel)
        return len(lost) == 1

    many.cluster.drop_matching(lose_the_first)
    seqs = await _says_in_turn(many, second, room)

    assert len(lost) == 2
    assert seqs == sorted(seqs)


async def test_a_command_under_way_is_not_overtaken_when_its_writer_has_gone(
    many: ManyHouse,
) -> None:
    room, first, second = await contended(many)
    await many.nodes[number_of(many, first)].dies()
    many.dead.clear()  # nobody has noticed yet
    sending = asyncio.ensure_future(second.says(room, "one"))
    await many.settle()
    many.dead.add(many.nodes[number_of(many, first)].node_id)

    later = asyncio.ensure_future(second.says(room, "two"))
    await many.passes(3)

    assert (await sending)["seq"] < (await later)["seq"]


def test_few_rooms_move_when_a_node_comes() -> None:
    rooms = [RoomId(f"room-{number}") for number in range(1000)]
    nodes = [NodeId(f"node-{number}") for number in range(4)]

    before = [writer_of(room, nodes) for room in rooms]
    after = [writer_of(room, [*nodes, NodeId("node-4")]) for room in rooms]

    moved = sum(a != b for a, b in zip(before, after, strict=True))
    assert 100 < moved < 300
    assert writer_of(rooms[0], []) is None
