"""One rate of a user over all nodes of a cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.hub.spending import SELDOM_S, Spending
from server.kernel.clock import Virtual
from server.kernel.ids import NodeId
from server.kernel.limits import Buckets
from server.kernel.tasks import TaskOwner
from storage.memory.shared import MemoryCluster
from tests.support.hub_house import House, hub_house, small_config
from tests.support.waiting import until

RATE, BURST, STEP_S = 20.0, 60.0, 0.05
SEND = {"room_id": "elsewhere", "content": {"type": "text", "body": ""}}


class Greedy:
    """A user with a socket at each of some nodes, who sends all that each lets him, without end."""

    def __init__(self, nodes: int) -> None:
        self.clock = Virtual()
        self.cluster = MemoryCluster(self.clock)
        self.tasks = TaskOwner("test")
        self.sent = 0
        self.buckets = [Buckets(RATE, BURST) for _ in range(nodes)]
        self.spendings = [
            Spending(
                self.cluster.open(NodeId(f"n{number}")).limits, {"send": buckets},
                clock=self.clock, tasks=self.tasks,
            )
            for number, buckets in enumerate(self.buckets)
        ]  # fmt: skip

    async def sends_for(self, seconds: float) -> None:
        for step in range(round(seconds / STEP_S)):
            for buckets, spending in zip(self.buckets, self.spendings, strict=True):
                while buckets.take("alice", self.clock.monotonic()) == 0:
                    self.sent += 1
                    spending.spent("send", "alice")
                if step % 2:
                    await spending.tell()
            self.clock.advance(STEP_S)


@pytest.mark.parametrize("nodes", [1, 2, 5])
async def test_over_any_number_of_nodes_a_user_has_one_rate_after_a_bounded_burst(
    nodes: int,
) -> None:
    greedy = Greedy(nodes)

    await greedy.sends_for(300)
    first = greedy.sent
    await greedy.sends_for(300)

    await greedy.tasks.close()
    assert first <= nodes * (BURST + RATE * SELDOM_S) + RATE * 300
    assert greedy.sent - first == pytest.approx(RATE * 300, rel=0.05)


async def test_while_the_shared_store_is_away_each_node_counts_alone() -> None:
    greedy = Greedy(2)
    greedy.cluster.cut(NodeId("n0"), NodeId("n1"))

    await greedy.sends_for(60)
    away = greedy.sent
    greedy.cluster.heal()
    await greedy.sends_for(300)

    await greedy.tasks.close()
    assert away == pytest.approx(2 * (BURST + RATE * 60), rel=0.05)
    assert greedy.sent - away == pytest.approx(RATE * 300, rel=0.05)


async def test_what_a_user_sent_at_one_node_is_refused_at_another() -> None:
    clock, tasks = Virtual(), TaskOwner("test")
    cluster = MemoryCluster(clock)
    limits = small_config(send_per_s=1, send_burst=3)
    async with hub_house(limits, clock=clock) as one, hub_house(limits, clock=clock) as other:
        for number, house in enumerate((one, other)):
            house.hub.share_limits(cluster.open(NodeId(f"n{number}")).limits, tasks)
        here, there = await one.joins("alice:one"), await other.joins("alice:two")
        for _ in range(3):
            assert (await here.emit("say", SEND))["ok"]
        await until(lambda: "send:alice" in cluster.kept.full_at)
        assert (await there.emit("say", SEND))["ok"], "allowed at once, debited behind"

        await until(lambda: _level(other) < 0)
        answer = await there.emit("say", SEND)

        assert answer["error"]["code"] == "rate_limited"
        assert answer["error"]["retry_after_s"] > 1
        await here.leaves()
        await there.leaves()
    await tasks.close()


async def test_connects_of_a_user_and_of_an_address_count_at_all_nodes() -> None:
    clock, tasks = Virtual(), TaskOwner("test")
    cluster = MemoryCluster(clock)
    limits = small_config(connect_per_s=2, connect_address_per_s=3)
    async with hub_house(limits, clock=clock) as one, hub_house(limits, clock=clock) as other:
        for number, house in enumerate((one, other)):
            house.hub.share_limits(cluster.open(NodeId(f"n{number}")).limits, tasks)

        codes = [
            await _knock(house, token)
            for house, token in (
                (one, "alice:1"), (other, "alice:2"), (one, "alice:3"), (other, "bob:1"),
                (one, "carol:1"),
            )
        ]  # fmt: skip

        assert codes == ["", "", "rate_limited", "rate_limited", "rate_limited"]
        cluster.cut()
        await asyncio.sleep(0)
        assert await _knock(other, "dave:1") == "", "alone, each node counts its own"
    await tasks.close()


def _level(house: House) -> float:
    buckets: Any = house.hub.dispatcher._buckets["send"]
    return float(buckets._levels["alice"][0])


async def _knock(house: House, token: str) -> str:
    """The code of the refusal; "": let in."""
    member = await house.knocks()
    await member.send(f'40{{"token":"{token}"}}')
    answer = str(await member.hear())
    await member.socket.close()
    return "rate_limited" if "rate_limited" in answer else answer[2:].split('"')[0].strip("{")
