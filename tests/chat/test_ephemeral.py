"""Receipts and typing."""

from __future__ import annotations

from tests.support.chat_house import ROOMS, House, make_room


async def test_receipts_only_grow_and_never_pass_the_head(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    await alice.says(room)

    far = await bob.asks("receipt:set", room_id=room, read_seq=99)
    back = await bob.asks("receipt:set", room_id=room, read_seq=1, delivered_seq=1)

    assert far == back == {"delivered_seq": 4, "read_seq": 4}


async def test_others_hear_receipts_once_a_second_and_ones_own_devices_at_once(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    phone = await house.also(bob)
    room = await make_room(alice, bob)
    for _ in range(5):
        await alice.says(room)

    for seq in range(4, 9):
        await bob.asks("receipt:set", room_id=room, read_seq=seq)
    soon = len(alice.socket.named("room:receipt"))
    await house.passes(seconds=1.5)

    heard = alice.socket.named("room:receipt")
    assert (soon, [r["read_seq"] for r in heard]) == (1, [4, 8])
    assert [r["read_seq"] for r in phone.socket.named("room:receipt")] == [4, 5, 6, 7, 8]


async def test_receipts_and_unread_survive_a_crash(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    for _ in range(3):
        await alice.says(room)
    await bob.asks("receipt:set", room_id=room, read_seq=5)

    await house.crashes()

    view = await bob.calls("GET", f"{ROOMS}/{room}")
    mine = await alice.calls("GET", f"{ROOMS}/{room}")
    assert (view["read_seq"], view["unread"]) == (5, 1)
    assert (mine["read_seq"], mine["unread"]) == (6, 0)


async def test_typing_is_told_to_others_only_and_ends_after_six_seconds(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    tablet = await house.also(alice)
    room = await make_room(alice, bob)

    await alice.asks("typing:set", room_id=room, typing=True)
    await alice.asks("typing:set", room_id=room, typing=True)
    await house.passes(seconds=5.5)
    during = bob.socket.named("room:typing")
    await house.passes(seconds=1)

    assert [t["typing"] for t in during] == [True]
    assert [t["typing"] for t in bob.socket.named("room:typing")] == [True, False]
    assert tablet.socket.named("room:typing") == []


async def test_a_message_ends_its_senders_typing(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    await alice.asks("typing:set", room_id=room, typing=True)

    await alice.says(room)
    await house.settle()

    assert [name for name, _ in bob.socket.heard[-2:]] == ["room:typing", "room:event"]
