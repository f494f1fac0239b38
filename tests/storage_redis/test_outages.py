"""Redis goes away and comes back: the fan-out and the commands of a node, on a real server."""

from __future__ import annotations

import asyncio
import resource
import time

import pytest

from server.kernel.errors import Unavailable
from server.kernel.ids import UserId
from storage.api import NodePresence, Spend
from storage.redis import RedisShared
from tests.storage_redis.conftest import LIMIT_S, Open
from tests.support.lateness import lateness
from tests.support.servers.redis import Server
from tests.support.shared import ALICE, LAURA, Ear, a_node, until_served
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ONLINE = NodePresence("online", 1)


async def two_nodes(redis: Server, open_node: Open) -> tuple[RedisShared, RedisShared, Ear]:
    """Laura, and Max who hears the garden."""
    laura, max_ = [await open_node(redis.settings, name) for name in ("laura", "max")]
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])
    return laura, max_, ear


async def test_what_is_published_during_an_outage_is_dropped_and_told(
    redis: Server, open_node: Open
) -> None:
    laura, max_, ear = await two_nodes(redis, open_node)
    await laura.nodes.beat(a_node(), 60.0)

    redis.process.kill()
    await until(lambda: not laura.fanout.connected, 1.0)
    for _ in range(50):
        laura.fanout.publish("garden", b"lost")
        await asyncio.sleep(0.03)
    redis.start()
    await ear.until(lambda: ear.restored == 1, 3.0)
    await until(lambda: laura.fanout.connected, 3.0)
    laura.fanout.publish("garden", b"arrives")

    assert await ear.hears(1) == [("garden", b"arrives")]
    assert ear.restored == 1
    assert laura.fanout.counters == {"published": 1, "dropped": 50, "heard": 0, "reconnects": 1}
    assert max_.fanout.counters["heard"] == 1
    assert not await laura.nodes.beat(a_node(), 60.0)


async def test_rooms_subscribed_to_during_an_outage_are_heard_after_it(
    redis: Server, open_node: Open
) -> None:
    laura, max_, ear = await two_nodes(redis, open_node)
    rooms = [f"room-{i}" for i in range(3_000)]
    await max_.fanout.subscribe(rooms)

    redis.process.kill()
    await until(lambda: not max_.fanout.connected, 1.0)
    await max_.fanout.subscribe(["kitchen"])
    await max_.fanout.unsubscribe(["garden"])
    redis.start()
    await ear.until(lambda: ear.restored == 1, 3.0)
    await until(lambda: laura.fanout.connected, 3.0)
    for channel in (rooms[0], "garden", rooms[-1], "kitchen"):
        laura.fanout.publish(channel, b"")

    assert [channel for channel, _ in await ear.hears(3)] == [rooms[0], rooms[-1], "kitchen"]


async def test_calls_during_an_outage_are_refused_soon_and_served_after_it(
    redis: Server, open_node: Open
) -> None:
    laura = await open_node(redis.settings, "laura")
    await laura.presence.put(LAURA, {ALICE: ONLINE})
    redis.process.kill()

    async with lateness() as late:
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable):
                await laura.limits.take(Spend("send", 1.0, 1.0))
        with pytest.raises(Unavailable):
            await laura.checks["redis"]()
        took_s = time.monotonic() - started

    assert took_s < 2 * LIMIT_S + late.seconds
    redis.start()
    await until_served(lambda: laura.presence.put(LAURA, {ALICE: ONLINE}), 3.0)
    await until_served(laura.checks["redis"], 3.0)
    assert await laura.presence.of([ALICE]) == {ALICE: {LAURA: ONLINE}}


async def test_a_frozen_redis_is_found_out_and_resumed_with(redis: Server, open_node: Open) -> None:
    laura, max_, ear = await two_nodes(redis, open_node)

    redis.process.freeze()
    async with lateness() as late:
        frozen = time.monotonic()
        with pytest.raises(Unavailable):
            await laura.nodes.alive()
        refused_s = time.monotonic() - frozen
        await until(lambda: not (laura.fanout.connected or max_.fanout.connected), 20.0)
        noticed_s = time.monotonic() - frozen
    redis.process.thaw()
    await ear.until(lambda: ear.restored == 1, 10.0)
    await until(lambda: laura.fanout.connected)
    laura.fanout.publish("garden", b"arrives")

    assert refused_s < LIMIT_S + 0.5 + late.seconds
    assert noticed_s < 5.0 + late.seconds
    await ear.until(lambda: ("garden", b"arrives") in ear.messages)
    assert await laura.nodes.alive() == []


async def test_a_frozen_redis_does_not_fill_our_memory(redis: Server, open_node: Open) -> None:
    laura = await open_node(redis.settings, "laura")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    redis.process.freeze()

    for _ in range(100):
        for _ in range(1_000):
            laura.fanout.publish("garden", b"x" * 1_000)
        await asyncio.sleep(0)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    redis.process.thaw()
    assert laura.fanout.counters["dropped"] > 70_000
    assert grown_kib < 60_000


async def test_a_redis_that_forgot_everything_does_not_know_us(
    redis: Server, open_node: Open
) -> None:
    laura, _, ear = await two_nodes(redis, open_node)
    await laura.nodes.beat(a_node(), 60.0)
    await laura.presence.put(LAURA, {ALICE: ONLINE})

    redis.flush_all()

    assert not await laura.nodes.beat(a_node(), 60.0)
    assert await laura.presence.of([ALICE]) == {}
    laura.fanout.publish("garden", b"arrives")
    assert await ear.hears(1) == [("garden", b"arrives")]
    assert ear.restored == 0


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_a_connection_that_redis_closes_is_made_again(
    redis: Server, open_node: Open, kind: str
) -> None:
    laura, max_, ear = await two_nodes(redis, open_node)
    own = Ear(laura)
    await laura.fanout.subscribe(["kitchen"])

    redis.ask("CLIENT", "KILL", "TYPE", kind)
    await ear.until(lambda: ear.restored == 1)
    await own.until(lambda: own.restored == 1)
    laura.fanout.publish("garden", b"arrives")

    assert await ear.hears(1) == [("garden", b"arrives")]
    assert max_.fanout.counters["reconnects"] == 1


async def test_a_node_starts_while_redis_is_down(redis: Server, open_node: Open) -> None:
    redis.process.kill()
    laura = await open_node(redis.settings, "laura")
    ear = Ear(laura)
    await laura.fanout.subscribe(["garden"])
    laura.fanout.publish("garden", b"lost")
    with pytest.raises(Unavailable):
        await laura.nodes.beat(a_node(), 60.0)

    redis.start()
    await ear.until(lambda: ear.restored == 1)
    max_ = await open_node(redis.settings, "max")
    max_.fanout.publish("garden", b"arrives")

    assert await ear.hears(1) == [("garden", b"arrives")]
    await until_served(lambda: laura.nodes.beat(a_node(), 60.0), 3.0)


async def test_what_was_published_before_the_end_still_leaves(
    redis: Server, open_node: Open
) -> None:
    laura, _, ear = await two_nodes(redis, open_node)

    for i in range(2_000):
        laura.fanout.publish("garden", b"%d" % i + b"x" * 1_000)
    await laura.close()

    assert len(await ear.hears(2_000)) == 2_000


async def test_answers_that_come_too_late_are_given_to_nobody_else(
    redis: Server, open_node: Open
) -> None:
    laura = await open_node(redis.settings, "laura")
    users = [UserId(f"user-{i}") for i in range(100)]
    said = {user: NodePresence("online", at) for at, user in enumerate(users)}
    await laura.presence.put(LAURA, said)

    async def read(user: UserId) -> object:
        return await laura.presence.of([user])

    redis.process.freeze()
    late = await asyncio.gather(*(read(user) for user in users), return_exceptions=True)
    redis.process.thaw()
    await until_served(laura.nodes.alive, 3.0)
    found = await asyncio.gather(*(read(user) for user in users))

    assert all(isinstance(answer, Unavailable) for answer in late)
    assert found == [{user: {LAURA: said[user]}} for user in users]


async def test_a_fault_of_the_one_who_is_told_does_not_end_the_fan_out(
    redis: Server, open_node: Open
) -> None:
    laura, max_ = [await open_node(redis.settings, name) for name in ("laura", "max")]
    heard: list[bytes] = []

    def fails() -> None:
        raise ZeroDivisionError

    max_.fanout.listen(lambda channel, data: heard.append(data), fails)
    await max_.fanout.subscribe(["garden"])
    redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: not max_.fanout.connected)
    await until(lambda: max_.fanout.connected and max_.fanout.counters["reconnects"] > 0)
    laura.fanout.publish("garden", b"arrives")

    await until(lambda: heard == [b"arrives"])


async def test_after_a_beat_of_unknown_outcome_all_is_put_again(
    redis: Server, open_node: Open
) -> None:
    laura = await open_node(redis.settings, "laura")
    await laura.nodes.beat(a_node(), 60.0)
    redis.process.freeze()
    with pytest.raises(Unavailable):
        await laura.nodes.beat(a_node(), 60.0)
    redis.process.thaw()

    beats = [await laura.nodes.beat(a_node(), 60.0) for _ in range(2)]

    assert beats == [False, True]
