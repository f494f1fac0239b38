"""One status of many devices, told to watchers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.chat_house import House, Person, make_room, open_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened


async def watched(house: House) -> tuple[Person, Person]:
    """Alice watches Bob; they share a room."""
    alice, bob = await house.joins("alice", "bob")
    await make_room(alice, bob)
    await alice.asks("presence:watch", user_ids=["bob"])
    await house.passes(seconds=2)
    return alice, bob


def told(person: Person) -> list[str]:
    return [news["status"] for news in person.socket.named("presence:changed")]


async def test_watching_answers_how_they_are_and_leaves_strangers_out(house: House) -> None:
    alice, bob, _ = await house.joins("alice", "bob", "stranger")
    await make_room(alice, bob)

    answer = await alice.asks("presence:watch", user_ids=["bob", "stranger", "nobody"])

    assert answer == {"presence": {"bob": {"status": "online"}}}


async def test_offline_is_told_five_seconds_after_the_last_socket(house: House) -> None:
    alice, bob = await watched(house)
    phone = await house.also(bob)
    await bob.drops()
    await house.passes(seconds=10)
    await phone.drops()

    await house.passes(seconds=4.5)
    before = told(alice)
    await house.passes(seconds=1)

    assert (before, told(alice)) == ([], ["offline"])
    seen = alice.socket.named("presence:changed")[0]["last_seen_at"]
    assert house.clock.now_ms() - seen == pytest.approx(5_500, abs=300)
    again = await alice.asks("presence:watch", user_ids=["bob"])
    assert again["presence"]["bob"] == {"status": "offline", "last_seen_at": seen}


async def test_a_quick_return_is_not_told(house: House) -> None:
    alice, bob = await watched(house)

    await bob.drops()
    await house.passes(seconds=3)
    await house.also(bob)
    await house.passes(seconds=10)

    assert told(alice) == []


async def test_a_user_is_away_when_no_device_sent_anything_for_300_s(house: House) -> None:
    alice, bob = await watched(house)
    phone = await house.also(bob)
    await house.passes(seconds=200)
    house.presence.active(phone.ctx)

    await house.passes(seconds=200)
    before = told(alice)
    await house.passes(seconds=150)
    after = told(alice)
    house.presence.active(bob.ctx)

    assert (before, after, told(alice)) == ([], ["away"], ["away", "online"])


async def test_busy_with_a_text_survives_reconnects_until_online_clears_it(house: House) -> None:
    alice, bob = await watched(house)
    await bob.asks("presence:set", status="busy", text="in a meeting")
    await house.passes(seconds=2)
    await bob.drops()
    await house.passes(seconds=10)

    back = await house.also(bob)
    await house.passes(seconds=2)
    news = alice.socket.named("presence:changed")[-1]
    await back.asks("presence:set", status="online")
    await house.passes(seconds=2)

    assert (news["status"], news["text"]) == ("busy", "in a meeting")
    assert told(alice)[-1] == "online"
    assert "text" not in alice.socket.named("presence:changed")[-1]


async def test_the_invisible_look_like_one_who_has_gone(house: House) -> None:
    alice, bob = await watched(house)

    await bob.asks("presence:set", status="invisible", text="hidden")
    await house.passes(seconds=2)
    first = alice.socket.named("presence:changed")
    await bob.drops()
    await house.passes(seconds=20)
    await house.also(bob)
    await house.passes(seconds=20)

    assert [set(news) for news in first] == [{"user_id", "status", "last_seen_at"}]
    assert told(alice) == ["offline"]


async def test_a_flapping_device_costs_a_watcher_at_most_one_event_a_second(
    house: House,
) -> None:
    alice, bob = await watched(house)

    for turn in range(40):
        await bob.asks("presence:set", status="busy" if turn % 2 else "away")
        await house.passes(seconds=0.25)

    assert 9 <= len(told(alice)) <= 11


async def test_a_watcher_who_left_or_watches_others_hears_nothing(house: House) -> None:
    alice, bob = await watched(house)
    await alice.asks("presence:watch", user_ids=[])

    await bob.asks("presence:set", status="busy")
    await house.passes(seconds=5)

    assert told(alice) == []


async def test_more_than_500_watched_or_a_long_text_is_invalid(house: House) -> None:
    (alice,) = await house.joins("alice")

    many = await alice.refused("presence:watch", user_ids=[f"u{n}" for n in range(501)])
    long = await alice.refused("presence:set", status="busy", text="x" * 201)
    unknown = await alice.refused("presence:set", status="offline")

    assert [error.code for error in (many, long, unknown)] == ["invalid"] * 3
