"""Sending, editing, deleting, reacting."""

from __future__ import annotations

import asyncio

import pytest

from server.kernel.errors import Conflict
from tests.support.chat_house import House, make_room


async def test_a_message_reaches_both_and_only_the_senders_devices_see_the_client_id(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)

    sent = await alice.says(room, "hello", client_id=(cid := house.client_id()))
    await house.settle()

    assert sent["seq"] == 4
    assert alice.hears(room)[-1]["client_id"] == cid
    heard = bob.hears(room)[-1]
    assert "client_id" not in heard
    assert "n" not in heard
    assert heard["content"] == {"type": "text", "body": "hello"}


async def test_a_new_rooms_log_is_its_room_event_then_its_members(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")

    room = await make_room(alice, bob, name="Garden")

    heard = alice.hears(room)
    assert [event["type"] for event in heard] == ["room", "member", "member"]
    assert [event["seq"] for event in heard] == [1, 2, 3]
    assert heard[1]["content"]["user_id"] == "alice"
    assert alice.socket.heard[0][0] == "room:added"
    assert bob.socket.heard[0][0] == "room:added"


async def test_the_same_client_id_gives_the_same_event_and_another_content_is_conflict(
    house: House,
) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    cid = house.client_id()

    first = await alice.says(room, "once", client_id=cid)
    again = await alice.says(room, "once", client_id=cid)

    assert again == first
    with pytest.raises(Conflict):
        await alice.says(room, "twice", client_id=cid)


async def test_two_sends_with_one_client_id_at_the_same_time_are_one_event(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    cid = house.client_id()

    first, again = await asyncio.gather(
        alice.says(room, "once", client_id=cid), alice.says(room, "once", client_id=cid)
    )

    assert first == again
    assert len(await house.log_of(room)) == 3


async def test_a_repeat_answers_the_first_result_after_its_message_is_deleted(
    house: House,
) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    cid, edit_id = house.client_id(), house.client_id()
    first = await alice.says(room, "once", client_id=cid)
    edit = {"room_id": room, "client_id": edit_id, "seq": first["seq"]}
    edit["content"] = {"type": "text", "body": "new"}
    edited = await alice.asks("message:edit", **edit)
    delete = {"room_id": room, "client_id": house.client_id(), "seq": first["seq"]}
    deleted = await alice.asks("message:delete", **delete)

    assert await alice.says(room, "once", client_id=cid) == first
    assert await alice.asks("message:edit", **edit) == edited
    assert await alice.asks("message:delete", **delete) == deleted


async def test_delete_blanks_the_message_and_its_edits_in_the_log(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    sent = await alice.says(room, "secret one")
    content = {"type": "text", "body": "secret two"}
    await alice.asks(
        "message:edit", room_id=room, client_id=house.client_id(), seq=sent["seq"], content=content
    )

    await alice.asks("message:delete", room_id=room, client_id=house.client_id(), seq=sent["seq"])

    log = await house.log_of(room)
    assert [(e["content"], e.get("gone")) for e in log[2:4]] == [(None, "deleted")] * 2
    page = await alice.calls("GET", f"/api/v1/rooms/{room}/events", view="messages")
    assert page["events"][0]["state"] == {"content": None, "reactions": [], "gone": "deleted"}


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        ({"type": "text", "body": "x" * 16_385}, "too_large", "content.body"),
        ({"type": "text", "body": " \n "}, "invalid", "content.body"),
        ({"type": "text", "body": ""}, "invalid", "content.body"),
        ({"type": "sealed", "scheme": "mls", "ciphertext": "AA"}, "invalid", "content"),
        ({"type": "other"}, "invalid", "content.type"),
        ({"type": "text", "body": "x", "format": None}, "invalid", "content.format"),
    ],
)
async def test_content_that_is_no_message_is_refused(
    house: House, content: dict[str, str], code: str, field: str
) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)

    error = await alice.refused(
        "message:send", room_id=room, client_id=house.client_id(), content=content
    )

    assert (error.code, error.field) == (code, field)


@pytest.mark.parametrize("days", [-31, 1])
async def test_a_client_id_dated_outside_the_window_is_invalid_and_tells_the_time(
    house: House, days: int
) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    now = house.clock.now_ms()

    error = await alice.refused(
        "message:send",
        room_id=room,
        client_id=house.ids.new(now + days * 86_400_000),
        content={"type": "text", "body": "x"},
    )

    assert (error.code, error.field, error.data) == ("invalid", "client_id", {"now": now})


async def test_a_reaction_that_is_there_answers_the_event_that_added_it(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    seq = (await alice.says(room))["seq"]
    reaction = {"room_id": room, "seq": seq, "emoji": "👍"}

    first = await bob.asks("reaction:add", client_id=house.client_id(), **reaction)
    again = await bob.asks("reaction:add", client_id=(second := house.client_id()), **reaction)
    await bob.asks("reaction:remove", client_id=house.client_id(), **reaction)
    repeated = await bob.asks("reaction:add", client_id=second, **reaction)
    gone = await bob.refused("reaction:remove", client_id=house.client_id(), **reaction)

    assert first == again == repeated
    assert gone.code == "not_found"


async def test_only_the_author_edits_and_only_author_owner_and_admins_delete(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    by_alice, by_bob = (await alice.says(room))["seq"], (await bob.says(room))["seq"]
    content = {"type": "text", "body": "new"}

    def command(seq: int) -> dict[str, object]:
        return {"room_id": room, "client_id": house.client_id(), "seq": seq}

    edit = await alice.refused("message:edit", **command(by_bob), content=content)
    delete = await bob.refused("message:delete", **command(by_alice))
    await alice.asks("message:delete", **command(by_bob))
    late = await bob.refused("message:edit", **command(by_bob), content=content)
    member_event = await alice.refused("message:edit", **command(1), content=content)
    nothing = await alice.refused("message:edit", **command(99), content=content)

    assert (edit.code, delete.code, late.code) == ("forbidden", "forbidden", "conflict")
    assert (member_event.code, nothing.code) == ("invalid", "not_found")


async def test_replies_and_threads_name_messages_of_the_room(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    first = (await alice.says(room))["seq"]

    reply = (await alice.says(room, reply_to=first, thread_seq=first))["seq"]
    body = {"type": "text", "body": "x"}
    payload = {"room_id": room, "content": body}
    nested, member, missing = [
        await alice.refused("message:send", client_id=house.client_id(), thread_seq=s, **payload)
        for s in (reply, 1, 99)
    ]
    page = await alice.calls("GET", f"/api/v1/rooms/{room}/events", view="messages")

    assert (nested.code, member.code, missing.code) == ("invalid", "invalid", "not_found")
    assert page["events"][0]["state"]["thread"] == {"count": 1, "last_seq": reply}


async def test_an_expiring_message_is_blank_at_its_time_with_its_edits(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    sent = await alice.says(room, "short lived", expires_in_s=10)
    content = {"type": "text", "body": "still short lived"}
    await alice.asks(
        "message:edit", room_id=room, client_id=house.client_id(), seq=sent["seq"], content=content
    )

    await house.passes(seconds=12)

    log = await house.log_of(room)
    assert [(e["content"], e["gone"]) for e in log[-2:]] == [(None, "expired")] * 2
    assert await house.store.log.due(house.clock.now_ms(), 10) == []


async def test_files_are_refused_until_there_are_files(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)

    error = await alice.refused(
        "message:send",
        room_id=room,
        client_id=house.client_id(),
        content={"type": "text", "body": "see"},
        file_ids=["f1"],
    )

    assert (error.code, error.field) == ("not_found", "file_ids")
