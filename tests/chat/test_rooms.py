"""Rooms and members over HTTP, and what sockets hear of them."""

from __future__ import annotations

import pytest

from server.kernel.config import Config, Limits
from tests.support.chat_house import ROOMS, House, make_room, open_house


async def test_a_direct_room_of_two_is_one_however_often_it_is_asked_for(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    body = {"kind": "direct", "member_ids": ["bob"]}

    made = await house.call(alice.ctx, "POST", ROOMS, body, {})
    again = await house.call(bob.ctx, "POST", ROOMS, {**body, "member_ids": ["alice"]}, {})

    assert (made[0], again[0]) == (201, 200)
    assert made[1]["id"] == again[1]["id"]
    assert again[1]["user_ids"] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"kind": "direct", "member_ids": []}, "invalid", "member_ids"),
        ({"kind": "direct", "member_ids": ["alice"]}, "invalid", "member_ids"),
        ({"kind": "direct", "member_ids": ["bob"], "name": "x"}, "invalid", "name"),
        ({"kind": "group", "e2ee": True}, "invalid", "e2ee"),
        ({"kind": "group", "member_ids": ["nobody"]}, "not_found", "member_ids"),
        ({"kind": "broadcast", "history": "joined"}, "invalid", "history"),
        ({"kind": "group", "name": None}, "invalid", "name"),
        ({"kind": "group", "colour": "red"}, "invalid", "colour"),
    ],
)
async def test_a_room_that_cannot_be_is_refused(
    house: House, body: dict[str, object], code: str, field: str
) -> None:
    alice, _ = await house.joins("alice", "bob")

    error = await alice.denied("POST", ROOMS, body)

    assert (error.code, error.field) == (code, field)


async def test_unread_and_mentions_count_what_others_said_after_ones_mark(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    await alice.says(room)
    await alice.says(room, mentions={"user_ids": ["bob"]})
    last = (await alice.says(room, mentions={"room": True}))["seq"]

    before = await bob.calls("GET", f"{ROOMS}/{room}")
    mine = await alice.calls("GET", f"{ROOMS}/{room}")
    await bob.asks("receipt:set", room_id=room, read_seq=last)
    after = await bob.calls("GET", f"{ROOMS}/{room}")

    assert (before["unread"], before["mentions"]) == (3, 2)
    assert (mine["unread"], mine["mentions"], mine["read_seq"]) == (0, 0, last)
    assert (after["unread"], after["mentions"], after["read_seq"]) == (0, 0, last)


async def test_answering_reads_what_was_before(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    await alice.says(room, mentions={"user_ids": ["bob"]})

    sent = await bob.says(room)

    view = await bob.calls("GET", f"{ROOMS}/{room}")
    assert (view["unread"], view["mentions"], view["read_seq"]) == (0, 0, sent["seq"])


async def test_a_removed_member_hears_his_removal_and_then_nothing(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    await alice.says(room)

    await alice.calls("DELETE", f"{ROOMS}/{room}/members/bob")
    await alice.says(room, "without bob")
    await house.settle()

    assert bob.socket.heard[-1] == ("room:removed", {"room_id": room, "reason": "removed"})
    assert bob.hears(room)[-1]["content"]["change"] == "removed"
    assert (await bob.denied("GET", f"{ROOMS}/{room}")).code == "not_found"
    assert (await bob.asks("sync", rooms={room: {"log_id": "x", "seq": 1}}))["removed"] == [room]


async def test_adding_is_all_or_nothing_and_leaves_out_who_is_in(house: House) -> None:
    alice, bob, carol = await house.joins("alice", "bob", "carol")
    room = await make_room(alice, bob)
    path = f"{ROOMS}/{room}/members"

    unknown = await alice.denied("POST", path, {"user_ids": ["carol", "nobody"]})
    by_member = await bob.denied("POST", path, {"user_ids": ["carol"]})
    above = await alice.calls("POST", path, {"user_ids": ["bob", "carol"], "role": "owner"})

    assert (unknown.code, by_member.code) == ("not_found", "forbidden")
    assert above == {"added": ["carol"]}
    assert carol.socket.heard[0][0] == "room:added"
    assert carol.hears(room)[0]["content"]["change"] == "added"


async def test_the_last_owner_stays_and_roles_have_an_order(house: House) -> None:
    alice, bob, carol = await house.joins("alice", "bob", "carol")
    room = await make_room(alice, bob, carol)
    path = f"{ROOMS}/{room}/members"

    leaves = await alice.denied("DELETE", f"{path}/me")
    await alice.calls("PATCH", f"{path}/bob", {"role": "admin"})
    too_high = await bob.denied("PATCH", f"{path}/carol", {"role": "owner"})
    against_owner = await bob.denied("DELETE", f"{path}/alice")
    await bob.calls("DELETE", f"{path}/carol")
    await alice.calls("PATCH", f"{path}/bob", {"role": "owner"})
    await alice.calls("DELETE", f"{path}/me")

    assert (leaves.code, too_high.code, against_owner.code) == (
        "conflict",
        "forbidden",
        "forbidden",
    )
    members = (await bob.calls("GET", path))["members"]
    assert [(m["user"]["id"], m["role"]) for m in members] == [("bob", "owner")]


async def test_settings_become_an_event_and_everybody_hears_his_own_view(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)

    await alice.calls("PATCH", f"{ROOMS}/{room}", {"name": "Garden", "topic": "tea"})
    await alice.calls("PATCH", f"{ROOMS}/{room}", {"name": "Garden"})

    assert bob.hears(room)[-1]["content"] == {"changes": {"name": "Garden", "topic": "tea"}}
    (told,) = bob.socket.named("room:updated")
    assert (told["room"]["name"], told["room"]["role"]) == ("Garden", "member")
    assert (await bob.denied("PATCH", f"{ROOMS}/{room}", {"name": "x"})).code == "forbidden"


async def test_a_public_room_is_found_and_joined_by_oneself(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, name="Open Garden", visibility="public")

    found = await bob.calls("GET", ROOMS, visibility="public", query="garden")
    before = await bob.denied("GET", f"{ROOMS}/{room}/events")
    joined = await bob.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["bob"]})
    again = await bob.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["bob"]})

    assert [r["id"] for r in found["rooms"]] == [room]
    assert "role" not in found["rooms"][0]
    assert before.code == "forbidden"
    assert (joined, again) == ({"added": ["bob"]}, {"added": []})
    assert alice.hears(room)[-1]["content"]["change"] == "joined"


async def test_readers_of_a_broadcast_room_come_and_go_without_an_event(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob, kind="broadcast", name="News")
    head = len(await house.log_of(room))

    sent = await alice.says(room, "news")
    await house.settle()
    error = await bob.refused(
        "message:send",
        room_id=room,
        client_id=house.client_id(),
        content={"type": "text", "body": "x"},
    )
    view = await bob.calls("GET", f"{ROOMS}/{room}")
    await bob.calls("DELETE", f"{ROOMS}/{room}/members/me")
    await alice.says(room, "without bob")

    assert (head, sent["seq"]) == (2, 3)
    assert [event["seq"] for event in bob.hears(room)] == [3]
    assert (view["role"], view["unread"], view["member_count"]) == ("member", 1, 2)
    assert error.code == "forbidden"
    assert bob.socket.heard[-1][0] == "room:removed"
    assert (await bob.denied("GET", f"{ROOMS}/{room}/events")).code == "not_found"


async def test_a_reader_made_admin_writes_and_one_made_reader_again_does_not(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob, kind="broadcast")
    path = f"{ROOMS}/{room}/members/bob"

    await alice.calls("PATCH", path, {"role": "admin"})
    await bob.says(room, "as admin")
    await alice.calls("PATCH", path, {"role": "member"})
    view = await bob.calls("GET", f"{ROOMS}/{room}")
    error = await bob.refused("typing:set", room_id=room, typing=True)

    assert view["role"] == "member"
    assert error.code == "forbidden"


async def test_one_who_blocked_you_takes_no_sends_and_no_direct_room(house: House) -> None:
    alice, bob, carol = await house.joins("alice", "bob", "carol")
    room = await make_room(alice, bob, kind="direct")
    send = {"room_id": room, "content": {"type": "text", "body": "x"}}

    await bob.calls("PUT", "/api/v1/blocks/alice")
    await bob.calls("PUT", "/api/v1/blocks/carol")
    refused = await alice.refused("message:send", client_id=house.client_id(), **send)
    no_room = await carol.denied("POST", ROOMS, {"kind": "direct", "member_ids": ["bob"]})
    await bob.says(room, "I may")
    await bob.calls("DELETE", "/api/v1/blocks/alice")
    await alice.says(room, "again")

    assert (refused.code, no_room.code) == ("forbidden", "forbidden")


async def test_history_joined_shows_nothing_before_ones_own_member_event(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, history="joined")
    old = (await alice.says(room, "before bob"))["seq"]
    await alice.calls("POST", f"{ROOMS}/{room}/members", {"user_ids": ["bob"]})

    page = await bob.calls("GET", f"{ROOMS}/{room}/events")
    target = await bob.refused(
        "reaction:add", room_id=room, client_id=house.client_id(), seq=old, emoji="x"
    )

    assert page["first_seq"] == page["events"][0]["seq"] == old + 1
    assert target.code == "not_found"


async def test_the_number_of_members_and_of_rooms_has_a_limit() -> None:
    limits = Limits(group_members=2, rooms_per_user=1)
    async with open_house(Config(limits=limits)) as house:
        alice, bob, carol = await house.joins("alice", "bob", "carol")
        room = await make_room(alice, bob)

        members = await alice.denied("POST", f"{ROOMS}/{room}/members", {"user_ids": ["carol"]})
        rooms = await alice.denied("POST", ROOMS, {"kind": "group"})
        await carol.calls("POST", ROOMS, {"kind": "group"})

    assert (members.code, rooms.code) == ("too_large", "too_large")


async def test_lists_are_paged_to_their_end(house: House) -> None:
    alice, *others = await house.joins("alice", "bob", "carol", "dave")
    rooms = [await make_room(alice, *others) for _ in range(3)]

    first = await alice.calls("GET", ROOMS, limit=2)
    second = await alice.calls("GET", ROOMS, limit=2, after=first["next"])
    people = await alice.calls("GET", f"{ROOMS}/{rooms[0]}/members", limit=3)
    rest = await alice.calls("GET", f"{ROOMS}/{rooms[0]}/members", limit=3, after=people["next"])

    assert [r["id"] for r in first["rooms"] + second["rooms"]] == sorted(rooms)
    assert "next" not in second
    assert [m["user"]["id"] for m in people["members"] + rest["members"]] == [
        "alice", "bob", "carol", "dave",
    ]  # fmt: skip
    assert "next" not in rest
