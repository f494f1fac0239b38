"""What `storage.api.SharedPresence` promises, over all implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.kernel.ids import UserId
from storage.api import NodePresence
from tests.support.shared import (
    ALICE,
    BOB,
    CAROL,
    KINDS,
    LAURA,
    MAX,
    NINA,
    Cluster,
    a_node,
    open_cluster,
)

ONLINE, AWAY = NodePresence("online", 1_800_000_000_000), NodePresence("away", 0)


@pytest.fixture(
    params=[
        *KINDS,
        pytest.param("redis-cluster", marks=pytest.mark.slow),
        pytest.param("redis-sentinel", marks=pytest.mark.slow),
    ]
)
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with open_cluster(request.param) as opened:
        yield opened


async def test_every_node_reads_what_each_says(cluster: Cluster) -> None:
    laura, max_ = await cluster.node(LAURA), await cluster.node(MAX)
    await laura.presence.put(LAURA, {ALICE: ONLINE, BOB: AWAY})
    await max_.presence.put(MAX, {ALICE: AWAY})

    found = await max_.presence.of([ALICE, BOB, CAROL])

    assert found == {ALICE: {LAURA: ONLINE, MAX: AWAY}, BOB: {LAURA: AWAY}}
    assert await laura.presence.of([]) == {}


async def test_a_put_replaces_and_removes(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.presence.put(LAURA, {ALICE: ONLINE, BOB: ONLINE})

    await laura.presence.put(LAURA, {ALICE: AWAY, BOB: None, CAROL: None})

    assert await laura.presence.of([ALICE, BOB, CAROL]) == {ALICE: {LAURA: AWAY}}


async def test_a_dead_node_is_forgotten_by_one_of_those_who_try(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.presence.put(MAX, {BOB: AWAY, ALICE: ONLINE})
    await laura.presence.put(NINA, {ALICE: ONLINE})

    assert await laura.presence.forget(MAX) == [ALICE, BOB]

    assert await laura.presence.forget(MAX) == []
    assert await laura.presence.of([ALICE, BOB]) == {ALICE: {NINA: ONLINE}}


async def test_a_node_that_was_forgotten_can_say_it_again(cluster: Cluster) -> None:
    laura = await cluster.node()
    await laura.presence.put(LAURA, {ALICE: ONLINE})
    await laura.presence.forget(LAURA)

    await laura.nodes.beat(a_node(), 5.0)
    await laura.presence.put(LAURA, {ALICE: AWAY})

    assert await laura.presence.of([ALICE]) == {ALICE: {LAURA: AWAY}}


async def test_thousands_of_users_are_put_and_read_at_once(cluster: Cluster) -> None:
    laura = await cluster.node()
    users = [UserId(f"user-{i:04}") for i in range(2_500)]

    await laura.presence.put(LAURA, dict.fromkeys(users, ONLINE))

    assert await laura.presence.of(users) == {user: {LAURA: ONLINE} for user in users}
    assert await laura.presence.forget(LAURA) == users
