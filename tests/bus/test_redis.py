"""What only Redis does to facts: several processes, kills, and forgetting everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from server.bus import telling
from server.bus.telling import Teller
from server.kernel.clock import System, Virtual
from server.kernel.config import Redis as Settings
from server.kernel.errors import Unavailable
from server.kernel.tasks import TaskOwner
from storage.redis.bus import RedisBus
from tests.support.bus_house import WorkerHouse
from tests.support.buses import age, fact, facts, redis_settings
from tests.support.servers.base import server_folder
from tests.support.servers.redis import Server
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def settings() -> Settings:
    return redis_settings()


@asynccontextmanager
async def opened(settings: Settings, settle_s: float = 0.0) -> AsyncIterator[RedisBus]:
    bus = RedisBus(settings, System(), settle_s=settle_s)
    try:
        yield bus
    finally:
        await bus.close()


async def take(bus: RedisBus, limit: int = 1_000) -> list[int | str]:
    taken = await bus.take("push", "w", limit=limit, wait_s=0, lease_s=60)
    return [delivery.fact.data["seq"] for delivery in taken]


@pytest.fixture
def durable() -> Iterator[Server]:
    """A Redis of its own that keeps all it answered for."""
    redis_settings()  # skips where there is none
    with server_folder("bus") as folder:
        server = Server(folder, "redis", "--appendonly", "yes", "--appendfsync", "always")
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def test_a_publisher_that_knew_of_no_group_tells_one_that_joined_elsewhere(
    settings: Settings,
) -> None:
    async with opened(settings, 0.2) as hub, opened(settings, 0.2) as worker:
        await hub.publish(facts(1))
        assert not hub.wants("message.stored")

        await worker.join("push")
        await hub.publish(facts(2))

        assert await take(worker) == [2]


async def test_while_no_group_is_there_redis_is_asked_once_in_a_while(settings: Settings) -> None:
    async with opened(settings, 60) as hub:
        await hub.publish(facts(1))
        before = await calls(hub)

        for number in range(50):
            await hub.publish(facts(number))

        assert await calls(hub) - before <= 5  # its own questions


async def calls(bus: RedisBus) -> int:
    told = await bus._commands.client.info("stats")
    return int(told["total_commands_processed"])


async def test_what_a_queue_has_finished_takes_no_memory(settings: Settings) -> None:
    async with opened(settings) as bus:
        await bus.join("push")
        client = bus._commands.client
        for _ in range(20):
            await bus.publish(facts(*range(200)))
            taken = await bus.take("push", "w", limit=1_000, wait_s=0, lease_s=60)
            await bus.done("push", [delivery.handle for delivery in taken])

        assert await client.xlen(bus._queue("push")) == 0
        assert await client.exists(bus._due("push")) == 0
        assert await client.memory_usage(bus._queue("push")) < 5_000


async def test_consumers_that_are_gone_are_forgotten_when_one_joins(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings) as bus:
        await bus.join("push")
        await bus.publish(facts(1))
        await bus.take("push", "holds-one", limit=1, wait_s=0, lease_s=60)
        await bus.take("push", "holds-none", limit=1, wait_s=0, lease_s=60)
        await asyncio.sleep(0.01)

        monkeypatch.setattr("storage.redis.bus.IDLE_CONSUMER_MS", 1)
        await bus.join("push")

        left = await bus._commands.client.xinfo_consumers(bus._queue("push"), "workers")
        assert [consumer["name"] for consumer in left] == [b"holds-one"]


async def test_many_workers_at_once_share_all_facts_without_doubles(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(opened(settings)) for _ in range(4)]
        await buses[0].join("push")
        heard: list[int | str] = []

        async def work(bus: RedisBus) -> None:
            while len(heard) < 1_000:
                taken = await bus.take("push", "w", limit=7, wait_s=0.1, lease_s=60)
                heard.extend(delivery.fact.data["seq"] for delivery in taken)
                await bus.done("push", [delivery.handle for delivery in taken])

        async def tell(bus: RedisBus, start: int) -> None:
            for number in range(start, start + 500, 10):
                await bus.publish(facts(*range(number, number + 10)))

        await asyncio.gather(*(work(bus) for bus in buses), tell(buses[0], 0), tell(buses[1], 500))

        assert sorted(map(int, heard)) == list(range(1_000))


async def test_after_flushall_workers_make_their_group_again_and_go_on(
    durable: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(durable.settings) as bus:
        house = WorkerHouse(bus, Virtual())
        await house.worker.join()
        house.worker.start()

        durable.flush_all()
        await until(lambda: durable.ask("EXISTS", f"{bus._base}groups") == "1")
        await bus.publish(facts(1))
        await until(lambda: house.clerk.once)

        await house.worker.close(1)
        await house.tasks.close()


async def test_publishing_to_a_dead_redis_says_unavailable_and_again_works_when_it_is_back(
    durable: Server,
) -> None:
    async with opened(durable.settings) as bus:
        await bus.join("push")
        await bus.publish(facts(1))

        durable.process.kill()
        with pytest.raises(Unavailable):
            await bus.publish(facts(2))
        durable.start()
        await again(bus, 2)

        assert await take(bus) == [1, 2]


async def again(bus: RedisBus, number: int) -> None:
    """The caller kept the fact."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await bus.publish(facts(number))
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_a_kill_while_facts_are_told_loses_none_that_somebody_told(
    durable: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "AGAIN_S", 0.02)
    tasks = TaskOwner("test")
    async with opened(durable.settings) as bus:
        await bus.join("push")
        teller = Teller(bus, tasks)
        for number in range(600):
            teller.tell(facts(number))
            if number % 5 == 0:
                await asyncio.sleep(0.001)
            if number in (200, 400):
                await asyncio.to_thread(durable.restart)
        await until(lambda: not teller.kept, 15)

        heard = set()
        while some := await take(bus):
            heard.update(some)

        assert (heard, teller.lost) == (set(range(600)), 0)
    await tasks.close()


async def test_what_a_worker_held_when_redis_was_killed_is_delivered_again(
    durable: Server,
) -> None:
    async with opened(durable.settings) as bus:
        await bus.join("push")
        await bus.publish(facts(1, 2))
        taken = await bus.take("push", "w", limit=2, wait_s=0, lease_s=60)
        await bus.done("push", [taken[0].handle])

        await asyncio.to_thread(durable.restart)
        async with asyncio.timeout(10):
            while True:
                try:
                    await age(bus, 61)
                    break
                except (Unavailable, OSError):
                    await asyncio.sleep(0.05)
        [again_] = await bus.take("push", "w", limit=9, wait_s=0, lease_s=60)

        assert (again_.fact, again_.attempts) == (fact(2), 2)


async def test_a_frozen_redis_costs_a_worker_its_turn_and_not_its_life(durable: Server) -> None:
    settings = msgspec.structs.replace(durable.settings, limit_s=0.2)
    async with opened(settings) as bus:
        house = WorkerHouse(bus, Virtual())
        await house.worker.join()
        house.worker.start()
        await asyncio.sleep(0.1)

        durable.process.freeze()
        try:
            await asyncio.sleep(1.5)
        finally:
            durable.process.thaw()
        await again(bus, 1)

        await until(lambda: house.clerk.once)
        await house.worker.close(1)
        await house.tasks.close()
