"""What `storage.api.Nodes` promises, over all implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.shared import ALL_KINDS, LAURA, MAX, NINA, Cluster, a_node, open_cluster


@pytest.fixture(params=ALL_KINDS)
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with open_cluster(request.param) as opened:
        yield opened


async def test_the_first_beat_is_not_known_and_the_next_is(cluster: Cluster) -> None:
    laura = await cluster.node()

    beats = [await laura.nodes.beat(a_node(), 5.0) for _ in range(3)]

    assert beats == [False, True, True]


async def test_all_see_who_is_alive(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    await max_.nodes.beat(a_node(NINA), 5.0)
    await max_.nodes.beat(a_node(MAX), 5.0)
    await laura.nodes.beat(a_node(LAURA), 5.0)

    assert await laura.nodes.alive() == [a_node(LAURA), a_node(MAX), a_node(NINA)]
    assert await max_.nodes.alive() == await laura.nodes.alive()


async def test_a_node_that_does_not_beat_is_dead(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.nodes.beat(a_node(MAX), 0.2)
    await laura.nodes.beat(a_node(LAURA), 30.0)

    await cluster.passes(0.3)

    assert await laura.nodes.alive() == [a_node(LAURA)]


async def test_a_beat_that_comes_too_late_is_not_known(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.nodes.beat(a_node(), 0.2)

    await cluster.passes(0.3)

    assert not await laura.nodes.beat(a_node(), 5.0)
    assert await laura.nodes.alive() == [a_node()]


async def test_a_beat_carries_what_the_node_says_of_itself_now(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.nodes.beat(a_node(version="1"), 5.0)

    await laura.nodes.beat(a_node(version="2"), 5.0)

    assert await laura.nodes.alive() == [a_node(version="2")]


async def test_who_leaves_is_gone_at_once(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.nodes.beat(a_node(), 5.0)
    await laura.nodes.beat(a_node(MAX), 5.0)

    await laura.nodes.leave(LAURA)
    await laura.nodes.leave(NINA)

    assert await laura.nodes.alive() == [a_node(MAX)]
    assert not await laura.nodes.beat(a_node(), 5.0)


async def test_the_checks_pass_while_all_is_well(cluster: Cluster) -> None:
    laura = await cluster.node()

    for check in laura.checks.values():
        await check()

    assert list(laura.checks) == ["redis"]
