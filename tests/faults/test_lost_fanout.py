"""What Redis loses is heard all the same: the last event of a room, and what was sent while Redis
was dead and after it forgot everything.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import pytest_asyncio

from tests.faults.ears import Ear
from tests.faults.history.stage import Stage
from tests.support.cluster import Cluster
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

TAIL_S = 15.0
PRESENCE_S = 10.0
MESSAGES = 150
ROOM_CHANNEL = re.compile(rb"(PUBLISH\r\n\$\d+\r\n[^:\r]+):r:")


class House:
    """People of one room, each on a hub."""

    def __init__(self, cluster: Cluster, http: aiohttp.ClientSession, stack: AsyncExitStack):
        self.cluster = cluster
        self.stage = Stage(cluster.urls, http, 1)
        self._http = http
        self._stack = stack

    @property
    def room(self) -> str:
        return next(iter(self.stage.rooms))

    async def comes(self, number: int, hub: int) -> Ear:
        person = self.stage.people[number]
        ear = await Ear.open(self._http, self.cluster.urls[hub], person)
        self._stack.push_async_callback(ear.close)
        return ear


@pytest_asyncio.fixture(loop_scope="session")
async def house(cluster: Cluster, http: aiohttp.ClientSession) -> AsyncIterator[House]:
    await cluster.ready()
    async with AsyncExitStack() as stack:
        house = House(cluster, http, stack)
        await house.stage.populate(4, 1)
        yield house
        for link in cluster.wires.values():
            link.heal()


async def test_a_rooms_last_event_reaches_all_though_its_publish_was_dropped(house: House):
    alice, bob = await house.comes(0, 0), await house.comes(1, 1)
    await alice.say(house.room, "before")
    await until(lambda: bob.texts() == ["before"])
    strays = 0

    def misdirect(data: bytes) -> bytes:
        nonlocal strays
        data, count = ROOM_CHANNEL.subn(rb"\1:x:", data)
        strays += count
        return data

    house.cluster.wires["hub1", "redis"].change("up", misdirect)
    await alice.say(house.room, "last")
    sent_at = time.monotonic()
    await until(lambda: strays)
    await asyncio.sleep(0.3)
    house.cluster.wires["hub1", "redis"].heal()

    assert bob.texts() == ["before"]
    await until(lambda: bob.texts() == ["before", "last"], TAIL_S)
    assert bob.heard[-1][2] - sent_at < TAIL_S
    assert bob.seqs() == alice.seqs()


async def test_all_arrives_though_redis_was_dead_for_3_s_and_forgot_everything(house: House):
    alice, bob = await house.comes(0, 0), await house.comes(1, 1)
    redis = house.cluster.stores.redis
    told = [f"message {number}" for number in range(MESSAGES)]

    async def talk() -> None:
        for text in told:
            await alice.say(house.room, text)
            await asyncio.sleep(0.05)

    talking = asyncio.create_task(talk())
    await asyncio.sleep(1.5)
    await asyncio.to_thread(redis.process.kill)
    await asyncio.sleep(3.0)
    await asyncio.to_thread(redis.start)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(redis.flush_all)
    await talking

    await until(lambda: len(bob.heard) >= MESSAGES, TAIL_S)
    assert bob.texts() == told
    assert bob.seqs() == alice.seqs() == list(range(alice.seqs()[0], alice.seqs()[-1] + 1))


async def test_presence_is_right_10_s_after_redis_forgot_everything(house: House):
    alice, bob = await house.comes(0, 0), await house.comes(1, 1)
    _, _, carol, dave = house.stage.people
    coming = await house.comes(2, 1)
    await alice.watch(bob.person, carol, dave)
    assert alice.statuses == {bob.person.id: "online", carol.id: "online", dave.id: "offline"}
    redis = house.cluster.stores.redis

    await asyncio.to_thread(redis.process.kill)
    await coming.close()
    await house.comes(3, 1)
    await asyncio.sleep(3.0)
    await asyncio.to_thread(redis.start)
    await asyncio.to_thread(redis.flush_all)

    right = {bob.person.id: "online", carol.id: "offline", dave.id: "online"}
    await until(lambda: alice.statuses == right, PRESENCE_S)
    late = await house.comes(0, 1)
    await late.watch(bob.person, carol, dave)
    await until(lambda: late.statuses == right, PRESENCE_S)  # his own hub may still wait for carol
