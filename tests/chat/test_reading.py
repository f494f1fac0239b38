"""History pages and sync."""

from __future__ import annotations

import json

import pytest

from tests.support.chat_house import ROOMS, House, make_room


async def test_history_is_paged_both_ways_without_a_hole(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    for number in range(10):
        await alice.says(room, f"message {number}")
    path = f"{ROOMS}/{room}/events"

    newest = await alice.calls("GET", path, limit=5)
    older = await alice.calls("GET", path, limit=5, before=newest["events"][0]["seq"])
    after = await alice.calls("GET", path, limit=500, after=10)

    assert [e["seq"] for e in newest["events"]] == [8, 9, 10, 11, 12]
    assert ([e["seq"] for e in older["events"]], older["more"]) == ([3, 4, 5, 6, 7], True)
    assert ([e["seq"] for e in after["events"]], after["more"]) == ([11, 12], False)
    assert (newest["head"], newest["first_seq"], newest["more"]) == (12, 1, True)


async def test_a_page_has_a_size_and_after_and_before_exclude_each_other(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    for _ in range(40):
        await alice.says(room, "x" * 16_000)
    path = f"{ROOMS}/{room}/events"

    page = await alice.calls("GET", path, limit=500)
    up = await alice.calls("GET", path, limit=500, after=0)
    error = await alice.denied("GET", path, after=1, before=3)

    assert len(json.dumps(page)) <= 262_144 + 2_000
    assert page["more"]
    assert page["events"][-1]["seq"] == 42
    assert (up["events"][0]["seq"], up["more"]) == (1, True)
    assert error.code == "invalid"


async def test_the_view_of_messages_carries_each_ones_state(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    seq = (await alice.says(room, "first"))["seq"]
    content = {"type": "text", "body": "better"}
    edit = await alice.asks(
        "message:edit", room_id=room, client_id=house.client_id(), seq=seq, content=content
    )
    for person in (alice, bob):
        await person.asks(
            "reaction:add", room_id=room, client_id=house.client_id(), seq=seq, emoji="👍"
        )

    page = await bob.calls("GET", f"{ROOMS}/{room}/events", view="messages")

    (message,) = page["events"]
    assert message["content"]["body"] == "first"
    assert message["state"] == {
        "content": content,
        "edited_seq": edit["seq"],
        "reactions": [{"emoji": "👍", "count": 2, "mine": True}],
    }


async def test_sync_gives_what_was_missed_and_rooms_alone_where_nothing_is_named(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    other = await make_room(alice, bob)
    known = (await bob.asks("sync"))["rooms"]
    await bob.drops()
    for number in range(5):
        await alice.says(room, f"{number}")
    named = {r["room"]["id"]: {"log_id": r["room"]["log_id"], "seq": 3} for r in known}

    first = await bob.asks("sync", rooms=named, limit=3)
    changed = await bob.asks("sync", rooms=named, changed_only=True)

    assert all(r["events"] == [] for r in known)
    (mine,) = [r for r in first["rooms"] if r["room"]["id"] == room]
    assert ([e["seq"] for e in mine["events"]], mine["more"]) == ([4, 5, 6], True)
    assert [r["room"]["id"] for r in changed["rooms"]] == [room]
    assert other in named


async def test_sync_from_the_tail_and_after_another_log_tells_the_gap(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    for _ in range(8):
        await alice.says(room)
    log_id = (await alice.calls("GET", f"{ROOMS}/{room}"))["log_id"]

    async def ask(log: str, seq: int, **more: object) -> object:
        named = {room: {"log_id": log, "seq": seq}}
        (synced,) = (await alice.asks("sync", rooms=named, limit=3, **more))["rooms"]
        seqs = [event["seq"] for event in synced["events"]]
        return seqs, synced.get("gap"), synced.get("reset", False), synced["more"]

    assert await ask(log_id, 2, **{"from": "tail"}) == (
        [8, 9, 10], {"after": 2, "before": 8}, False, False,
    )  # fmt: skip
    assert await ask("other", 2) == ([8, 9, 10], {"after": 0, "before": 8}, True, False)
    assert await ask(log_id, 99) == ([8, 9, 10], {"after": 0, "before": 8}, True, False)
    assert await ask(log_id, 10) == ([], None, False, False)
    assert await ask(log_id, 9, **{"from": "tail"}) == ([10], None, False, False)


async def test_a_large_sync_is_parted_by_next_and_more_and_loses_nothing(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    rooms = [await make_room(alice, bob) for _ in range(3)]
    for room in rooms:
        for _ in range(10):
            await alice.says(room, "x" * 16_000)
    seen: dict[str, list[int]] = {room: [] for room in rooms}
    logs = {r["room"]["id"]: r["room"]["log_id"] for r in (await bob.asks("sync"))["rooms"]}

    for _ in range(10):
        named = {r: {"log_id": logs[r], "seq": len(seen[r])} for r in rooms}
        after: dict[str, str] = {}
        while True:
            answer = await bob.asks("sync", rooms=named, changed_only=True, **after)
            assert len(json.dumps(answer)) <= 262_144 + 2_000
            for synced in answer["rooms"]:
                assert synced["events"]
                seen[synced["room"]["id"]] += [event["seq"] for event in synced["events"]]
            if "next" not in answer:
                break
            after = {"after": answer["next"]}
        if not answer["rooms"]:
            break

    assert list(seen.values()) == [list(range(1, 14))] * 3


@pytest.mark.parametrize("limit", [0, 501])
async def test_a_limit_outside_1_to_500_is_invalid(house: House, limit: int) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)

    assert (await alice.refused("sync", limit=limit)).code == "invalid"
    assert (await alice.denied("GET", f"{ROOMS}/{room}/events", limit=limit)).code == "invalid"
