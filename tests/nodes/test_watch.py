"""Who is alive, as each node sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from server.kernel.clock import Virtual
from server.kernel.config import Cluster
from server.kernel.ids import NodeId
from server.kernel.tasks import TaskOwner
from server.nodes.watch import NodeWatch
from storage.api import Node
from storage.memory.shared import MemoryCluster


class Crowd:
    """Nodes that beat when told, each every two seconds."""

    def __init__(self) -> None:
        self.clock = Virtual()
        self.cluster = MemoryCluster(self.clock)
        self.tasks = TaskOwner("test")
        self.watches: dict[str, NodeWatch] = {}
        self.told: dict[str, list[tuple[str, ...]]] = {}
        self.forgotten: list[str] = []

    async def joins(self, *names: str, features: tuple[str, ...] = ()) -> None:
        for name in names:
            node = Node(NodeId(name), self.clock.now_ms(), "1", features)
            watch = NodeWatch(
                node, self.cluster.open(node.id).nodes, clock=self.clock, tasks=self.tasks,
                config=Cluster(),
            )  # fmt: skip
            told: list[tuple[str, ...]] = []
            watch.on_change(told.append)
            watch.on_forgotten(partial(self.forgotten.append, name))
            self.watches[name], self.told[name] = watch, told
            await watch.beat()
        for watch in self.watches.values():
            await watch.beat()

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / 2)):
            self.clock.advance(2)
            for watch in self.watches.values():
                await watch.beat()


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    crowd = Crowd()
    yield crowd
    await crowd.tasks.close()


async def test_nodes_see_one_another_and_one_that_dies_is_gone_within_8_s(crowd: Crowd) -> None:
    await crowd.joins("a", "b", "c")
    del crowd.watches["c"]

    await crowd.passes(4)
    before = crowd.watches["a"].alive
    await crowd.passes(4)

    assert before == ("a", "b", "c")
    assert crowd.watches["a"].alive == crowd.watches["b"].alive == ("a", "b")
    assert crowd.told["a"][-1] == ("a", "b")
    assert crowd.forgotten == []


async def test_one_that_leaves_is_gone_at_the_next_beat(crowd: Crowd) -> None:
    await crowd.joins("a", "b")

    await crowd.watches.pop("b").close()
    await crowd.passes(2)

    assert crowd.watches["a"].alive == ("a",)


async def test_nobody_is_taken_for_dead_because_the_store_forgot_all(crowd: Crowd) -> None:
    await crowd.joins("a", "b")
    told = len(crowd.told["a"])

    crowd.cluster.flush_all()
    await crowd.watches["a"].beat()
    await crowd.passes(6)

    assert crowd.watches["a"].alive == ("a", "b")
    assert len(crowd.told["a"]) == told
    assert sorted(crowd.forgotten) == ["a", "b"]


async def test_one_that_died_while_the_store_forgot_all_is_gone_soon_after(crowd: Crowd) -> None:
    await crowd.joins("a", "b")

    crowd.cluster.flush_all()
    del crowd.watches["b"]
    await crowd.passes(6)

    assert crowd.watches["a"].alive == ("a",)


async def test_a_node_that_is_cut_off_keeps_its_view_and_others_count_it_as_dead(
    crowd: Crowd,
) -> None:
    await crowd.joins("a", "b")

    crowd.cluster.cut(NodeId("b"))
    await crowd.passes(10)
    seen = (crowd.watches["a"].alive, crowd.watches["b"].alive)
    crowd.cluster.heal()
    await crowd.passes(4)

    assert seen == (("a",), ("a", "b"))
    assert not crowd.told["b"][1:], "its view never changed"
    assert crowd.watches["a"].alive == crowd.watches["b"].alive == ("a", "b")
    assert crowd.forgotten == ["b"]


async def test_the_cluster_offers_what_every_node_knows(crowd: Crowd) -> None:
    await crowd.joins("a", features=("totp", "files", "search"))

    await crowd.joins("old", features=("search", "totp"))

    assert crowd.watches["a"].features == ("totp", "search")
