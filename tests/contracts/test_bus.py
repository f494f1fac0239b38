"""The contract of the bus, over memory, SQLite, Redis and a Redis Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from storage.api import Bus, DeadLetter, Delivery
from storage.api.bus import REASON_CHARS, BusLimits, is_wanted
from tests.support.buses import BUSES, BusHouse, fact, facts, open_bus

LEASE_S = 60.0
KINDS = [
    pytest.param(kind, marks=pytest.mark.slow) if kind.startswith("redis") else kind
    for kind in BUSES
]


@pytest.fixture(params=KINDS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BusHouse]:
    async with open_bus(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(params=KINDS)
async def small(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BusHouse]:
    """At most five facts wait, at most three are dead."""
    async with open_bus(request.param, tmp_path, BusLimits(waiting=5, dead=3)) as opened:
        yield opened


async def take(
    bus: Bus, group: str = "push", limit: int = 100, wait_s: float = 0
) -> list[Delivery]:
    return await bus.take(group, "worker-1", limit=limit, wait_s=wait_s, lease_s=LEASE_S)


def numbers(found: Sequence[Delivery | DeadLetter]) -> list[str | int]:
    return [each.fact.data["seq"] for each in found]


def handles(found: Sequence[Delivery]) -> list[str]:
    return [delivery.handle for delivery in found]


# ---- publishing and taking ----------------------------------------------------------------------


async def test_a_group_gets_facts_whole_and_in_order(house: BusHouse) -> None:
    await house.bus.join("push")

    await house.bus.publish(facts(1, 2))
    await house.bus.publish(facts(3))

    taken = await take(house.bus)
    assert [delivery.fact for delivery in taken] == facts(1, 2, 3)
    assert {delivery.attempts for delivery in taken} == {1}


async def test_each_group_gets_all_of_them(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.join("search")

    await house.bus.publish(facts(1))
    await house.bus.done("push", handles(await take(house.bus, "push")))

    assert numbers(await take(house.bus, "search")) == [1]


async def test_consumers_of_a_group_share_its_facts(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1, 2, 3))

    first = await take(house.bus, limit=2)
    second = await house.another().take("push", "worker-2", limit=2, wait_s=0, lease_s=LEASE_S)

    assert (numbers(first), numbers(second)) == ([1, 2], [3])


async def test_a_group_begins_with_what_is_published_after_it_joined(house: BusHouse) -> None:
    await house.bus.publish(facts(1))
    await house.bus.join("push")
    await house.bus.publish(facts(2))

    assert numbers(await take(house.bus)) == [2]


async def test_joining_again_keeps_what_waits(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))

    await house.bus.join("push")

    assert numbers(await take(house.bus)) == [1]


async def test_a_group_gets_only_what_it_wants(house: BusHouse) -> None:
    await house.bus.join("push", ("message.*", "user.created"))
    wanted = [fact(1, "message.stored"), fact(2, "user.created")]

    await house.bus.publish([*wanted, fact(3, "session.ended"), fact(4, "user.created.x")])

    assert [delivery.fact for delivery in await take(house.bus)] == wanted


async def test_joining_again_changes_what_is_wanted(house: BusHouse) -> None:
    await house.bus.join("push", ("message.*",))
    await house.bus.join("push", ("session.ended",))

    await house.bus.publish([fact(1), fact(2, "session.ended")])

    assert numbers(await take(house.bus)) == [2]


async def test_what_no_group_wants_waits_for_nobody(house: BusHouse) -> None:
    await house.bus.join("push", ("session.ended",))

    await house.bus.publish(facts(1))

    assert await house.bus.waiting() == {"push": 0}


async def test_taking_waits_for_the_first_fact(house: BusHouse) -> None:
    await house.bus.join("push")
    taking = asyncio.create_task(take(house.bus, wait_s=5))
    await asyncio.sleep(0.02)

    await house.another().publish(facts(1))

    assert numbers(await asyncio.wait_for(taking, 2)) == [1]


async def test_taking_gives_up_when_nothing_comes(house: BusHouse) -> None:
    await house.bus.join("push")

    assert await take(house.bus, wait_s=0.02) == []


async def test_a_group_that_is_not_there_cannot_be_taken_from(house: BusHouse) -> None:
    with pytest.raises(LookupError):
        await take(house.bus)


async def test_who_leaves_is_forgotten(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))

    await house.bus.leave("push")
    await house.bus.publish(facts(2))
    await house.bus.join("push")

    assert await take(house.bus) == []
    assert await house.bus.waiting() == {"push": 0}


async def test_a_group_is_wanted_from_memory(house: BusHouse) -> None:
    await house.bus.join("push", ("message.*",))
    await house.bus.publish(facts(1))

    assert house.bus.wants("message.stored")
    assert house.bus.wants()


# ---- after an append ----------------------------------------------------------------------------


async def test_what_follows_a_refused_append_is_not_published(house: BusHouse) -> None:
    await house.bus.join("push")
    stored: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    stored.set_result(None)
    refused.set_result("refused")

    await house.bus.publish(facts(1), after=stored)
    await house.bus.publish(facts(2), after=refused)

    assert numbers(await take(house.bus)) == [1]


async def test_what_follows_an_append_that_is_under_way_waits_for_it(house: BusHouse) -> None:
    await house.bus.join("push")
    append: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    publishing = asyncio.ensure_future(house.bus.publish(facts(1), after=append))
    await asyncio.sleep(0.01)
    early = await take(house.bus)

    append.set_result(None)
    await publishing

    assert (early, numbers(await take(house.bus))) == ([], [1])


# ---- finishing ----------------------------------------------------------------------------------


async def test_what_is_done_never_comes_back(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1, 2))
    await house.bus.done("push", handles(await take(house.bus)))

    await house.passes(10 * LEASE_S)

    assert await take(house.bus) == []
    assert await house.bus.waiting() == {"push": 0}


async def test_what_a_dead_consumer_held_is_delivered_to_another(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1, 2))
    await take(house.bus)

    await house.passes(LEASE_S + 1)

    again = await house.another().take("push", "worker-2", limit=9, wait_s=0, lease_s=LEASE_S)
    assert (numbers(again), {delivery.attempts for delivery in again}) == ([1, 2], {2})


async def test_what_is_held_is_not_delivered_to_another(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))
    await take(house.bus)

    await house.passes(LEASE_S - 5)

    assert await take(house.bus) == []


async def test_what_is_due_again_comes_before_what_is_new(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))
    await take(house.bus)
    await house.bus.publish(facts(2))
    await house.passes(LEASE_S + 1)

    assert numbers(await take(house.bus, limit=1)) == [1]
    assert numbers(await take(house.bus, limit=1)) == [2]


async def test_what_is_postponed_comes_after_its_delay(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1, 2))
    first, second = handles(await take(house.bus))
    await house.bus.postpone("push", {first: 300, second: 20})

    await house.passes(21)
    early = await take(house.bus)
    await house.bus.done("push", handles(early))
    await house.passes(280)
    late = await take(house.bus)

    assert (numbers(early), numbers(late)) == ([2], [1])
    assert late[0].attempts == 2


async def test_taking_waits_no_longer_than_until_something_is_due(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))
    taken = await take(house.bus)
    await house.bus.postpone("push", {taken[0].handle: 0.05})
    taking = asyncio.create_task(take(house.bus, wait_s=5))
    await asyncio.sleep(0.02)

    house.clock.advance(0.06)

    assert numbers(await asyncio.wait_for(taking, 2)) == [1]


async def test_what_is_finished_twice_or_late_changes_nothing(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))
    taken = await take(house.bus)
    await house.bus.done("push", handles(taken))

    await house.bus.done("push", handles(taken))
    await house.bus.postpone("push", {taken[0].handle: 0})
    await house.bus.bury("push", taken, "late")
    await house.passes(LEASE_S + 1)

    assert await take(house.bus) == []
    assert await house.bus.dead() == []


async def test_finishing_for_a_group_that_left_changes_nothing(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.publish(facts(1))
    taken = await take(house.bus)
    await house.bus.leave("push")

    await house.bus.done("push", handles(taken))
    await house.bus.postpone("push", {taken[0].handle: 1})
    await house.bus.bury("push", taken, "late")

    assert (await house.bus.waiting(), await house.bus.dead()) == ({}, [])


async def test_waiting_counts_what_is_not_finished(house: BusHouse) -> None:
    await house.bus.join("push")
    await house.bus.join("search")
    await house.bus.publish(facts(1, 2, 3))
    taken = await take(house.bus)

    await house.bus.done("push", [taken[0].handle])

    assert await house.bus.waiting() == {"push": 2, "search": 3}


async def test_the_same_fact_told_twice_has_the_same_id(house: BusHouse) -> None:
    await house.bus.join("push")

    await house.bus.publish(facts(1))
    await house.bus.publish(facts(1))

    taken = await take(house.bus)
    assert taken
    assert {delivery.fact.id for delivery in taken} == {"message.stored:1"}


# ---- dead letters -------------------------------------------------------------------------------


async def buried(house: BusHouse, *which: int, reason: str = "no such device") -> list[DeadLetter]:
    await house.bus.join("push")
    await house.bus.publish(facts(*which))
    for delivery in await take(house.bus):
        await house.bus.bury("push", [delivery], reason)
    return await house.bus.dead()


async def test_what_is_buried_is_out_of_the_way_and_can_be_looked_at(house: BusHouse) -> None:
    letters = await buried(house, 1, 2)
    await house.passes(LEASE_S + 1)

    assert await take(house.bus) == []
    assert await house.bus.waiting() == {"push": 0}
    assert [letter.fact for letter in letters] == facts(1, 2)
    first = letters[0]
    assert (first.group, first.attempts, first.reason) == ("push", 1, "no such device")
    assert first.died_at == house.clock.now_ms() - (LEASE_S + 1) * 1000


async def test_a_long_reason_is_cut(house: BusHouse) -> None:
    letters = await buried(house, 1, reason="x" * 5_000)

    assert letters[0].reason == "x" * REASON_CHARS


async def test_dead_letters_are_read_by_pages_and_by_group(house: BusHouse) -> None:
    await house.bus.join("search")
    letters = await buried(house, 1, 2, 3)
    await house.bus.bury("search", await take(house.bus, "search"), "no index")

    rest = await house.bus.dead(group="push", after=letters[0].id, limit=1)

    assert numbers(rest) == [2]
    assert numbers(await house.bus.dead(group="search")) == [1, 2, 3]
    assert len(await house.bus.dead()) == 6


async def test_what_is_replayed_is_delivered_to_its_group_as_new(house: BusHouse) -> None:
    await house.bus.join("search")
    letters = await buried(house, 1, 2)
    await house.bus.done("search", handles(await take(house.bus, "search")))

    count = await house.bus.replay([letters[1].id, letters[1].id])

    again = await take(house.bus)
    assert (count, numbers(again), again[0].attempts) == (1, [2], 1)
    assert await take(house.bus, "search") == []
    assert numbers(await house.bus.dead()) == [1]


async def test_replay_wakes_who_waits(house: BusHouse) -> None:
    letters = await buried(house, 1)
    taking = asyncio.create_task(take(house.bus, wait_s=5))
    await asyncio.sleep(0.02)

    await house.bus.replay([letters[0].id])

    assert numbers(await asyncio.wait_for(taking, 2)) == [1]


async def test_a_dead_letter_of_a_group_that_left_stays_dead(house: BusHouse) -> None:
    letters = await buried(house, 1)
    await house.bus.leave("push")

    assert await house.bus.replay([letters[0].id]) == 0
    assert await house.bus.dead() == letters


async def test_what_is_dropped_is_gone(house: BusHouse) -> None:
    letters = await buried(house, 1, 2)

    assert await house.bus.drop([letters[0].id, letters[0].id]) == 1
    assert numbers(await house.bus.dead()) == [2]


@pytest.mark.parametrize("number", ["", "nonsense", "999999", "0-0", "12-", "9" * 40, "-1"])
async def test_ids_that_are_not_there_are_passed_over(house: BusHouse, number: str) -> None:
    await buried(house, 1)

    assert await house.bus.replay([number]) == 0
    assert await house.bus.drop([number]) == 0
    assert len(await house.bus.dead()) == 1


# ---- bounds -------------------------------------------------------------------------------------


async def test_past_its_bound_the_oldest_of_a_group_become_dead_letters(
    small: BusHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.bus.COUNT_EVERY", 1)
    await small.bus.join("push")
    await small.bus.publish(facts(1, 2, 3))
    await take(small.bus, limit=1)

    await small.bus.publish(facts(4, 5, 6, 7))
    await small.bus.done("push", [])  # SQLite counts in a turn of its own

    letters = await small.bus.dead()
    assert [(letter.reason, letter.attempts) for letter in letters] == [
        ("overflow", 1),
        ("overflow", 0),
    ]
    assert numbers(letters) == [1, 2]
    assert numbers(await take(small.bus)) == [3, 4, 5, 6, 7]


async def test_past_their_bound_the_oldest_dead_letters_are_lost(house: BusHouse) -> None:
    async def bury_one(bus: Bus, number: int) -> None:
        await bus.publish(facts(number))
        await bus.bury("push", await take(bus), "no")

    await house.bus.join("push")
    house.bus._limits = BusLimits(dead=200)  # type: ignore[attr-defined]
    for number in range(0, 400, 100):
        await house.bus.publish(facts(*range(number, number + 100)))
        await house.bus.bury("push", await take(house.bus), "no")

    letters = await house.bus.dead(limit=1_000)

    assert len(letters) <= 300  # Redis cuts whole blocks of a hundred
    assert numbers(letters)[-200:] == list(range(200, 400))


def test_a_wish_names_a_fact_or_how_it_begins() -> None:
    assert is_wanted("message.stored", ("message.stored",))
    assert is_wanted("message.stored", ("message.*",))
    assert is_wanted("message.stored", ("*",))
    assert not is_wanted("message.stored", ("message", "messages.*", "user.*"))
