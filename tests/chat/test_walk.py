"""Every event and call as one who may not: a stranger, a removed member, a blocked user."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chat_house import ROOMS, House, Person, make_room

TEXT = {"type": "text", "body": "x"}

EVENTS: dict[str, dict[str, Any]] = {
    "message:send": {"content": TEXT},
    "message:edit": {"seq": 4, "content": TEXT},
    "message:delete": {"seq": 4},
    "reaction:add": {"seq": 4, "emoji": "x"},
    "reaction:remove": {"seq": 4, "emoji": "x"},
    "receipt:set": {"read_seq": 4},
    "typing:set": {"typing": True},
}
WITHOUT_CLIENT_ID = {"receipt:set", "typing:set"}

CALLS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PATCH", "", {"name": "x"}),
    ("GET", "/members", None),
    ("POST", "/members", {"user_ids": ["mallory"]}),
    ("POST", "/members", {"user_ids": ["alice"]}),
    ("PATCH", "/members/alice", {"role": "member"}),
    ("PATCH", "/members/me", {"role": "owner"}),
    ("DELETE", "/members/alice", None),
    ("DELETE", "/members/me", None),
    ("GET", "/events", None),
]


def payload(house: House, room: str, name: str) -> dict[str, Any]:
    ids = {} if name in WITHOUT_CLIENT_ID else {"client_id": house.client_id()}
    return {"room_id": room, **ids, **EVENTS[name]}


async def setting(house: House, kind: str, *, removed: bool) -> tuple[str, Person]:
    alice, bob, mallory = await house.joins("alice", "bob", "mallory")
    room = await make_room(alice, bob, *([mallory] if removed else []), kind=kind)
    await alice.says(room)
    await alice.says(room)
    if removed:
        await alice.calls("DELETE", f"{ROOMS}/{room}/members/mallory")
    return room, mallory


@pytest.mark.parametrize("removed", [False, True], ids=["stranger", "removed"])
@pytest.mark.parametrize("kind", ["group", "broadcast"])
async def test_one_who_is_not_in_a_private_room_gets_not_found_from_everything(
    house: House, kind: str, removed: bool
) -> None:
    room, mallory = await setting(house, kind, removed=removed)

    codes = {
        name: (await mallory.refused(name, **payload(house, room, name))).code for name in EVENTS
    }
    for method, path, body in CALLS:
        codes[f"{method} {path}"] = (
            await mallory.denied(method, f"{ROOMS}/{room}{path}", body)
        ).code

    assert set(codes.values()) == {"not_found"}, codes


async def test_a_room_that_is_not_there_is_not_found_everywhere(house: House) -> None:
    (alice,) = await house.joins("alice")

    codes = {(await alice.refused(name, **payload(house, "none", name))).code for name in EVENTS}
    codes |= {(await alice.denied(m, f"{ROOMS}/none{path}", body)).code for m, path, body in CALLS}

    assert codes == {"not_found"}


async def test_a_stranger_may_know_a_public_room_but_do_nothing_in_it(house: House) -> None:
    alice, mallory = await house.joins("alice", "mallory")
    room = await make_room(alice, visibility="public")
    await alice.says(room)

    codes = {
        name: (await mallory.refused(name, **payload(house, room, name))).code for name in EVENTS
    }

    assert set(codes.values()) == {"forbidden"}


@pytest.mark.parametrize("name", sorted(set(EVENTS) - {"receipt:set"}))
async def test_a_blocked_user_writes_nothing_into_the_direct_room(house: House, name: str) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob, kind="direct")
    await alice.says(room)
    await bob.calls("PUT", "/api/v1/blocks/alice")

    assert (await alice.refused(name, **payload(house, room, name))).code == "forbidden"


async def test_a_removed_member_cannot_repeat_what_was_acknowledged(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    client_id = house.client_id()
    await bob.says(room, client_id=client_id)
    await alice.calls("DELETE", f"{ROOMS}/{room}/members/bob")

    error = await bob.refused("message:send", room_id=room, client_id=client_id, content=TEXT)

    assert error.code == "not_found"
