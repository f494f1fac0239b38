"""What `MemoryCluster` does when it is told to fail."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId
from storage.api import NodePresence, Spend
from storage.memory import MemoryCluster, open_memory
from tests.support.shared import ALICE, LAURA, MAX, NINA, Ear, a_node


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_node_that_was_cut_off_is_told_once_and_hears_again() -> None:
    cluster = MemoryCluster(Virtual())
    laura, max_ = cluster.open(LAURA), cluster.open(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])

    laura.fanout.publish("garden", b"on its way")
    cluster.cut(MAX)
    laura.fanout.publish("garden", b"lost")
    max_.fanout.publish("garden", b"dropped")
    await max_.fanout.subscribe(["kitchen"])
    await turns()
    cluster.heal()
    assert ear.restored == 0
    laura.fanout.publish("kitchen", b"arrives")
    await turns()

    assert ear.messages == [("kitchen", b"arrives")]
    assert ear.restored == 1
    assert max_.fanout.counters["dropped"] == 1


async def test_calls_of_a_node_that_is_cut_off_are_refused() -> None:
    cluster = MemoryCluster(Virtual())
    laura, max_ = cluster.open(LAURA), cluster.open(MAX)
    cluster.cut(LAURA)

    with pytest.raises(Unavailable):
        await laura.nodes.beat(a_node(), 5.0)
    with pytest.raises(Unavailable):
        await laura.limits.take(Spend("send", 1.0, 1.0))
    with pytest.raises(Unavailable):
        await laura.checks["redis"]()

    assert not await max_.nodes.beat(a_node(MAX), 5.0)


async def test_a_node_may_start_while_it_is_cut_off() -> None:
    cluster = MemoryCluster(Virtual())
    cluster.cut(LAURA)
    laura = cluster.open(LAURA)
    ear = Ear(laura)

    connected = laura.fanout.connected
    cluster.heal(LAURA)
    await turns()

    assert not connected
    assert laura.fanout.connected
    assert ear.restored == 1


async def test_chosen_messages_are_lost() -> None:
    cluster = MemoryCluster(Virtual())
    laura, max_ = cluster.open(LAURA), cluster.open(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden", "kitchen"])

    cluster.drop_next(2, lambda publisher, channel, data: channel == "garden")
    for channel, number in itertools.product(("kitchen", "garden"), range(3)):
        laura.fanout.publish(channel, b"%d" % number)
    cluster.drop_matching(lambda publisher, channel, data: publisher == LAURA)
    laura.fanout.publish("garden", b"lost")
    cluster.drop_matching(None)
    await turns()

    assert [data for _, data in ear.messages] == [b"0", b"1", b"2", b"2"]
    assert ear.restored == 0


def order_heard(seed: int | None) -> list[bytes]:
    async def run() -> list[bytes]:
        cluster = MemoryCluster(Virtual(), seed=seed)
        nodes = [cluster.open(NodeId(f"node-{i}")) for i in range(3)]
        nina = cluster.open(NINA)
        ear = Ear(nina)
        await nina.fanout.subscribe(["garden"])
        for number, node in itertools.product(range(20), range(3)):
            nodes[node].fanout.publish("garden", b"%d:%02d" % (node, number))
        await ear.hears(60)
        return [data for _, data in ear.messages]

    return asyncio.run(run())


def test_a_seed_shuffles_publishers_and_keeps_the_order_of_each() -> None:
    heard = order_heard(seed=1)

    assert heard == order_heard(seed=1)
    assert heard != order_heard(seed=2)
    for node in (b"0", b"1", b"2"):
        own = [data for data in heard if data.startswith(node)]
        assert own == sorted(own)


async def test_a_cluster_that_forgot_everything_keeps_its_subscriptions() -> None:
    cluster = MemoryCluster(Virtual())
    laura, max_ = cluster.open(LAURA), cluster.open(MAX)
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])
    await laura.nodes.beat(a_node(), 5.0)
    await laura.presence.put(LAURA, {ALICE: NodePresence("online")})

    cluster.flush_all()

    assert not await laura.nodes.beat(a_node(), 5.0)
    assert await laura.presence.of([ALICE]) == {}
    laura.fanout.publish("garden", b"arrives")
    assert await ear.hears(1) == [("garden", b"arrives")]


async def test_nodes_beside_one_another_have_one_store_and_close_it_each() -> None:
    first = open_memory(shared=True)
    second = first.beside()
    await first.accounts.secret("token", b"one")

    await first.close()

    with pytest.raises(Unavailable):
        await first.accounts.secret("token", b"two")
    assert await second.accounts.secret("token", b"two") == b"one"
    assert not second.joint
