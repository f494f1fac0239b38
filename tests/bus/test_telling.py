"""Facts leave for the bus without anybody waiting, and are kept while it cannot take them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.bus import telling
from server.bus.telling import Teller
from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from server.kernel.tasks import TaskOwner
from storage.memory.bus import MemoryBus
from tests.support.buses import fact, facts
from tests.support.waiting import until


@pytest.fixture
async def bus() -> MemoryBus:
    opened = MemoryBus(Virtual())
    await opened.join("push", ("message.*",))
    return opened


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    owner = TaskOwner("test")
    yield owner
    await owner.close()


async def told(bus: MemoryBus) -> list[int | str]:
    taken = await bus.take("push", "w", limit=1_000, wait_s=0, lease_s=60)
    return [delivery.fact.data["seq"] for delivery in taken]


async def test_what_is_told_arrives_in_order(bus: MemoryBus, tasks: TaskOwner) -> None:
    teller = Teller(bus, tasks)

    teller.tell(facts(1, 2))
    teller.tell(facts(3))
    await until(lambda: not teller.kept)

    assert await told(bus) == [1, 2, 3]


async def test_what_nobody_wants_starts_nothing(bus: MemoryBus, tasks: TaskOwner) -> None:
    teller = Teller(bus, tasks)

    teller.tell([fact(1, "user.created")])

    assert (teller.kept, len(tasks)) == (0, 0)


async def test_facts_are_kept_through_an_outage(
    bus: MemoryBus, tasks: TaskOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "AGAIN_S", 0.01)
    teller = Teller(bus, tasks)
    bus.outage = True
    teller.tell(facts(1))
    await asyncio.sleep(0.02)
    teller.tell(facts(2))

    bus.outage = False
    await until(lambda: not teller.kept)

    assert await told(bus) == [1, 2]


async def test_past_the_bound_the_oldest_are_lost_and_counted(
    bus: MemoryBus, tasks: TaskOwner
) -> None:
    teller = Teller(bus, tasks, most=3)
    bus.outage = True

    teller.tell(facts(1, 2, 3, 4, 5))

    assert (teller.kept, teller.lost) == (3, 2)


async def test_closing_publishes_what_is_kept(bus: MemoryBus, tasks: TaskOwner) -> None:
    teller = Teller(bus, tasks)
    teller.tell(facts(1))

    await teller.close(1)

    assert (await told(bus), teller.lost) == ([1], 0)


async def test_closing_in_an_outage_says_what_is_lost(bus: MemoryBus, tasks: TaskOwner) -> None:
    teller = Teller(bus, tasks)
    bus.outage = True
    teller.tell(facts(1, 2))

    await teller.close(0.02)

    assert teller.lost == 2


async def test_what_follows_a_refused_append_is_not_told(bus: MemoryBus, tasks: TaskOwner) -> None:
    teller = Teller(bus, tasks)
    append: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    teller.tell(facts(1), after=append)

    append.set_result("refused")
    await asyncio.sleep(0.01)

    assert (await told(bus), teller.kept) == ([], 0)


async def test_what_follows_a_failed_append_is_not_told(bus: MemoryBus, tasks: TaskOwner) -> None:
    teller = Teller(bus, tasks)
    append: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    teller.tell(facts(1), after=append)

    append.set_exception(Unavailable("disk full"))
    await asyncio.sleep(0.01)

    assert (await told(bus), teller.kept) == ([], 0)


async def test_facts_of_an_append_that_was_stored_survive_a_failed_publish(
    bus: MemoryBus, tasks: TaskOwner
) -> None:
    teller = Teller(bus, tasks)
    append: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    teller.tell(facts(1), after=append)
    bus.outage = True
    append.set_result(None)
    await until(lambda: teller.kept)

    bus.outage = False
    await until(lambda: not teller.kept)

    assert await told(bus) == [1]
