"""A worker delivers until a fact is done or given up, whatever its handler does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from server.bus import worker as worker_module
from server.bus.handlers import GiveUp, Retry, Verdict
from storage.api import Fact
from storage.memory.bus import MemoryBus
from tests.support.bus_house import worker_house
from tests.support.buses import facts
from tests.support.waiting import until


def seqs(told: Sequence[Fact]) -> list[Any]:
    return [fact.data["seq"] for fact in told]


async def test_facts_are_handled_and_done() -> None:
    async with worker_house(batch=2) as house:
        await house.bus.publish(facts(1, 2, 3))

        await house.works()

        assert house.clerk.heard == [[1, 2], [3]]
        assert await house.bus.waiting() == {"push": 0}
        assert house.worker.settling.counts.delivered == 3


async def test_what_always_fails_is_buried_after_its_attempts_with_growing_pauses() -> None:
    async with worker_house(attempts=5) as house:
        house.clerk.behave = lambda told: Retry("no answer")
        await house.bus.publish(facts(1))
        await house.works()

        await house.passes(400)

        times = house.clerk.times[1]
        pauses = [later - before for before, later in pairwise(times)]
        assert pauses == [1, 4, 16, 64]
        [letter] = await house.bus.dead()
        assert (letter.reason, letter.attempts) == ("no answer", 5)
        assert await house.bus.waiting() == {"push": 0}


async def test_what_is_replayed_is_handled_again() -> None:
    async with worker_house(attempts=1) as house:
        house.clerk.behave = lambda told: Retry("no answer")
        await house.bus.publish(facts(1))
        await house.works()
        [letter] = await house.bus.dead()

        house.clerk.behave = lambda told: None
        await house.bus.replay([letter.id])
        await house.works()

        assert house.clerk.heard == [[1], [1]]
        assert list(house.clerk.once) == ["message.stored:1"]
        assert await house.bus.dead() == []


async def test_the_other_side_may_ask_for_a_longer_pause() -> None:
    async with worker_house() as house:
        house.clerk.behave = lambda told: Retry("busy", after_s=50)
        await house.bus.publish(facts(1))
        await house.works()

        await house.passes(60)

        assert house.clerk.times[1] == [0, 50]


async def test_what_is_given_up_is_buried_at_once() -> None:
    async with worker_house(batch=10) as house:
        house.clerk.behave = lambda told: GiveUp("gone", each=True)
        await house.bus.publish(facts(1, 2))

        await house.works()

        assert house.clerk.heard == [[1, 2]]
        assert [letter.reason for letter in await house.bus.dead()] == ["gone", "gone"]


async def test_one_bad_fact_takes_no_other_of_its_batch_with_it() -> None:
    def behave(told: Sequence[Fact]) -> Verdict:
        return GiveUp("cannot be read") if 2 in seqs(told) else None

    async with worker_house(batch=10) as house:
        house.clerk.behave = behave
        await house.bus.publish(facts(1, 2, 3))

        await house.works()

        assert [letter.fact.data["seq"] for letter in await house.bus.dead()] == [2]
        assert sorted(house.clerk.once) == ["message.stored:1", "message.stored:3"]


async def test_one_fact_that_always_fails_takes_no_other_of_its_batch_with_it() -> None:
    def behave(told: Sequence[Fact]) -> Verdict:
        return Retry("status 500") if 2 in seqs(told) else None

    async with worker_house(batch=10) as house:
        house.clerk.behave = behave
        await house.bus.publish(facts(1, 2, 3))
        await house.works()

        await house.passes(20_000, step_s=100)

        assert [letter.fact.data["seq"] for letter in await house.bus.dead()] == [2]
        assert sorted(house.clerk.once) == ["message.stored:1", "message.stored:3"]


async def test_a_handler_that_crashes_is_asked_again_and_ends_no_worker() -> None:
    def crash(told: Sequence[Fact]) -> Verdict:
        raise KeyError("whatever the fact held")

    async with worker_house(attempts=2) as house:
        house.clerk.behave = crash
        await house.bus.publish(facts(1))
        await house.works()
        await house.passes(5)

        [letter] = await house.bus.dead()
        house.clerk.behave = lambda told: None
        await house.bus.publish(facts(2))
        await house.works()

        assert letter.reason == "crashed: KeyError"
        assert list(house.clerk.once) == ["message.stored:2"]


async def test_a_handler_that_takes_too_long_is_cut_off_and_asked_again() -> None:
    async with worker_house(limit_s=0.02) as house:
        house.clerk.hold = asyncio.Event()
        await house.bus.publish(facts(1))
        await house.works()

        house.clerk.hold = None
        await house.passes(2)

        assert house.clerk.heard == [[1], [1]]
        assert list(house.clerk.once) == ["message.stored:1"]


async def test_no_more_calls_than_allowed_are_under_way() -> None:
    async with worker_house(at_once=2) as house:
        house.clerk.hold = asyncio.Event()
        await house.bus.publish(facts(1, 2, 3))
        await house.worker.turn()
        more = asyncio.create_task(house.worker.turn())
        await asyncio.sleep(0.01)
        under_way = len(house.clerk.heard)

        house.clerk.hold.set()
        await more
        await house.worker.settled()

        assert under_way == 2
        assert len(house.clerk.heard) == 3


async def test_a_worker_that_dies_before_done_leaves_the_fact_to_another() -> None:
    async with worker_house() as house:
        await house.bus.publish(facts(1))
        house.clerk.hold = asyncio.Event()
        await house.worker.turn()
        await asyncio.sleep(0)
        await house.worker.close(0)
        house.clerk.hold = None

        house.worker = house.another()
        await house.passes(house.handler.lease_s + 1)

        assert house.clerk.heard == [[1], [1]]
        assert await house.bus.waiting() == {"push": 0}


async def test_what_cannot_be_marked_as_done_comes_again_and_is_done_once() -> None:
    async with worker_house() as house:
        assert isinstance(house.bus, MemoryBus)
        house.clerk.hold = asyncio.Event()
        await house.bus.publish(facts(1))
        await house.worker.turn()
        await asyncio.sleep(0)
        house.bus.outage = True
        house.clerk.hold.set()
        await house.worker.settled()

        house.bus.outage = False
        await house.passes(house.handler.lease_s + 1)

        assert house.clerk.heard == [[1], [1]]
        assert len(house.clerk.once) == 1
        assert await house.bus.waiting() == {"push": 0}


async def test_closing_lets_what_is_under_way_finish() -> None:
    async with worker_house() as house:
        house.clerk.hold = asyncio.Event()
        house.worker.start()
        await house.bus.publish(facts(1))
        await until(lambda: house.clerk.heard)

        closing = asyncio.create_task(house.worker.close(5))
        await asyncio.sleep(0)
        house.clerk.hold.set()
        await closing

        assert list(house.clerk.once) == ["message.stored:1"]
        assert await house.bus.waiting() == {"push": 0}


async def test_closing_hands_back_what_was_taken_and_not_begun() -> None:
    async with worker_house(at_once=1) as house:
        await house.bus.publish(facts(0))
        await house.works()
        house.clerk.hold = asyncio.Event()
        house.worker.start()
        await house.bus.publish(facts(1, 2, 3))
        await until(lambda: len(house.clerk.heard) == 2)

        closing = asyncio.create_task(house.worker.close(5))
        await asyncio.sleep(0.01)
        house.clerk.hold.set()
        await closing

        others = await house.bus.take("push", "other", limit=9, wait_s=0, lease_s=60)
        assert seqs([delivery.fact for delivery in others]) == [2, 3]
        assert await house.bus.waiting() == {"push": 2}


async def test_a_running_worker_outlives_an_outage_and_the_loss_of_its_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "AGAIN_S", 0.01)
    monkeypatch.setattr(worker_module, "WAIT_S", 0.01)
    async with worker_house() as house:
        assert isinstance(house.bus, MemoryBus)
        house.bus.outage = True
        house.worker.start()
        await asyncio.sleep(0.03)
        house.bus.outage = False
        await house.bus.leave("push")
        await until(lambda: house.bus.wants())

        await house.bus.publish(facts(1))

        await until(lambda: house.clerk.once)


async def test_a_fault_of_the_bus_itself_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "AGAIN_S", 0.01)
    async with worker_house() as house:
        assert isinstance(house.bus, MemoryBus)
        whole, house.bus._groups = house.bus._groups, None  # type: ignore[assignment]
        house.worker.start()
        await asyncio.sleep(0.03)
        house.bus._groups = whole

        await house.bus.publish(facts(1))

        await until(lambda: house.clerk.once)
