"""What `storage.api.SharedLimits` promises, over all implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from storage.api import Spend
from tests.support.shared import KINDS, LAURA, MAX, Cluster, open_cluster

SLOW = Spend("send:alice", per_s=0.01, burst=3)
FAST = Spend("send:bob", per_s=10.0, burst=2)


@pytest.fixture(params=[*KINDS, pytest.param("redis-cluster", marks=pytest.mark.slow)])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with open_cluster(request.param) as opened:
        yield opened


async def test_a_bucket_gives_its_burst_and_then_says_how_long(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits

    waits = [await limits.take(SLOW) for _ in range(4)]

    assert waits[:3] == [0, 0, 0]
    assert waits[3] == pytest.approx(100, rel=0.05)


async def test_nodes_take_from_the_same_bucket(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    await laura.limits.take(replace(SLOW, n=2))

    waits = [await max_.limits.take(SLOW), await max_.limits.take(SLOW)]

    assert waits[0] == 0
    assert waits[1] > 0


async def test_a_refusal_takes_nothing(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits
    await limits.take(SLOW)

    assert await limits.take(replace(SLOW, n=3)) == pytest.approx(100, rel=0.05)

    assert await limits.take(replace(SLOW, n=2)) == 0


async def test_who_waits_as_long_as_told_is_served(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits
    await limits.take(replace(FAST, n=2))
    wait = await limits.take(FAST)

    await cluster.passes(wait)

    assert 0 < wait <= 0.11
    assert await limits.take(FAST) == 0


async def test_a_full_bucket_holds_no_more_than_its_burst(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits
    await limits.take(FAST)

    await cluster.passes(0.5)

    assert await limits.take(replace(FAST, n=2)) == 0
    assert await limits.take(FAST) > 0


async def test_buckets_are_apart(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits
    await limits.take(replace(SLOW, n=3))

    assert await limits.take(replace(SLOW, key="send:carol")) == 0


async def test_a_debit_goes_into_debt(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits

    waits = await limits.debit([replace(SLOW, n=2), replace(FAST, n=2), replace(SLOW, n=4)])

    assert waits[0] == 0
    assert waits[1] == pytest.approx(0.1, rel=0.05)
    assert waits[2] == pytest.approx(400, rel=0.05)
    assert await limits.take(SLOW) == pytest.approx(400, rel=0.05)


async def test_many_are_debited_at_once(cluster: Cluster) -> None:
    limits = (await cluster.node()).limits
    spends = [Spend(f"send:{i}", per_s=0.01, burst=1, n=i % 2) for i in range(450)]

    waits = await limits.debit(spends)

    assert [wait > 0 for wait in waits] == [i % 2 == 1 for i in range(450)]
    assert await limits.debit([]) == []
