"""What `storage.api.Fanout` promises, over all implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.shared import ALL_KINDS, LAURA, MAX, NINA, Cluster, Ear, open_cluster


@pytest.fixture(params=ALL_KINDS)
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with open_cluster(request.param) as opened:
        yield opened


async def test_a_subscriber_hears_what_others_publish(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])

    laura.fanout.publish("garden", b"hello")

    assert await ear.hears(1) == [("garden", b"hello")]
    assert laura.fanout.connected


async def test_nothing_is_heard_before_publish_returns(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])

    laura.fanout.publish("garden", b"hello")

    assert ear.messages == []
    await ear.hears(1)


async def test_a_node_does_not_hear_itself(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    laura_ear, max_ear = Ear(laura), Ear(max_)
    await laura.fanout.subscribe(["garden"])
    await max_.fanout.subscribe(["garden"])

    laura.fanout.publish("garden", b"from laura")
    await max_ear.hears(1)
    max_.fanout.publish("garden", b"from max")

    assert await laura_ear.hears(1) == [("garden", b"from max")]
    assert max_ear.messages == [("garden", b"from laura")]


async def test_a_publisher_is_heard_in_order_over_all_channels(cluster: Cluster) -> None:
    laura, max_, nina = [await cluster.node(name) for name in (LAURA, MAX, NINA)]
    ear = Ear(nina)
    channels = [f"room-{i}" for i in range(7)]
    await nina.fanout.subscribe(channels)

    for i in range(300):
        laura.fanout.publish(channels[i % 7], b"laura %d" % i)
        max_.fanout.publish(channels[i % 5], b"max %d" % i)

    heard = [data for _, data in await ear.hears(600)]
    assert [data for data in heard if data[:1] == b"l"] == [b"laura %d" % i for i in range(300)]
    assert [data for data in heard if data[:1] == b"m"] == [b"max %d" % i for i in range(300)]


async def test_only_what_was_subscribed_to_is_heard(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden", "kitchen"])
    await max_.fanout.unsubscribe(["garden"])

    for channel in ("garden", "cellar", "kitchen"):
        laura.fanout.publish(channel, b"hello")

    assert await ear.hears(1) == [("kitchen", b"hello")]


async def test_who_subscribes_again_hears_again_and_once(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])
    await max_.fanout.unsubscribe(["garden"])
    await max_.fanout.subscribe(["garden", "garden"])
    await max_.fanout.subscribe(["garden", "end"])

    laura.fanout.publish("garden", b"hello")
    laura.fanout.publish("end", b"")

    assert await ear.hears(2) == [("garden", b"hello"), ("end", b"")]


async def test_thousands_of_channels_are_subscribed_to_at_once(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    channels = [f"room-{i}" for i in range(5_000)]

    await max_.fanout.subscribe(channels)

    for channel in (channels[0], channels[2_500], channels[-1]):
        laura.fanout.publish(channel, b"hello")
    assert [channel for channel, _ in await ear.hears(3)] == ["room-0", "room-2500", "room-4999"]


async def test_any_bytes_arrive_as_they_are(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    messages = [b"", bytes(range(256)), b"\r\n-ERR\r\n$-1\r\n", b"x" * 300_000]
    await max_.fanout.subscribe(["Räume:ü 1"])

    for data in messages:
        laura.fanout.publish("Räume:ü 1", data)

    assert await ear.hears(4) == [("Räume:ü 1", data) for data in messages]


async def test_nobody_is_told_of_a_restoration_while_nothing_broke(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])

    laura.fanout.publish("garden", b"hello")
    await ear.hears(1)

    assert ear.restored == 0
