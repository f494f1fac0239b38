"""Attempts are counted over all nodes of a cluster."""

from __future__ import annotations

import pytest

from server.accounts.limits import AttemptLimits
from server.kernel.clock import Virtual
from server.kernel.config import Limits
from server.kernel.errors import RateLimited
from server.kernel.ids import NodeId
from storage.memory.shared import MemoryCluster

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Nodes:
    def __init__(self) -> None:
        self.clock = Virtual()
        self.cluster = MemoryCluster(self.clock)
        self.one, self.other = self._node("one"), self._node("other")

    def _node(self, name: str) -> AttemptLimits:
        attempts = AttemptLimits(Limits(login_fail_per_min=6, signup_per_h=4), self.clock)
        attempts.shared = self.cluster.open(NodeId(name)).limits
        return attempts


async def test_failures_at_one_node_count_at_another_by_name_and_by_address() -> None:
    nodes = Nodes()
    for _ in range(3):
        await nodes.one.failed(peer=HERE, name="alice")
        await nodes.other.failed(peer=HERE, name="alice")

    for peer, name in ((HERE, "bob"), (THERE, "Alice")):
        with pytest.raises(RateLimited) as refused:
            await nodes.other.check_failures(peer=peer, name=name)
        assert 0 < (refused.value.retry_after_s or 0) <= 10
    with pytest.raises(RateLimited):
        nodes.other.check_failures_here(name="alice")
    await nodes.other.check_failures(peer=THERE, name="bob")


async def test_whoever_waits_as_told_may_try_again() -> None:
    nodes = Nodes()
    for _ in range(6):
        await nodes.one.failed(name="alice")
    with pytest.raises(RateLimited) as refused:
        await nodes.other.check_failures(name="alice")

    nodes.clock.advance(refused.value.retry_after_s or 0)

    await nodes.other.check_failures(name="alice")


async def test_sign_ups_of_an_address_count_at_all_nodes() -> None:
    nodes = Nodes()
    for attempts in (nodes.one, nodes.other, nodes.one, nodes.other):
        await attempts.check_sign_up(HERE)

    for attempts in (nodes.one, nodes.other):
        with pytest.raises(RateLimited):
            await attempts.check_sign_up(HERE)
    await nodes.one.check_sign_up(THERE)


async def test_without_the_shared_store_each_node_counts_alone() -> None:
    nodes = Nodes()
    nodes.cluster.cut(NodeId("one"), NodeId("other"))
    for _ in range(6):
        await nodes.one.failed(name="alice")

    with pytest.raises(RateLimited):
        await nodes.one.check_failures(name="alice")
    await nodes.other.check_failures(name="alice")
