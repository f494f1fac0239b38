"""A primary dies: Sentinels name another one, a Cluster makes one of a replica."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from server.kernel.errors import Unavailable
from server.kernel.ids import UserId
from storage.api import NodePresence, Spend
from storage.redis import RedisShared
from tests.storage_redis.conftest import Open
from tests.support.servers.redis import Certificates, Cluster, Watched
from tests.support.shared import LAURA, Ear, a_node, until_served
from tests.support.waiting import until

pytestmark = pytest.mark.slow

USERS = [UserId(f"user-{i}") for i in range(40)]


async def until_heard(publisher: RedisShared, ear: Ear, within_s: float = 15.0) -> None:
    """Publish until something of it is heard."""
    async with asyncio.timeout(within_s):
        for number in itertools.count():
            publisher.fanout.publish("garden", b"after %d" % number)
            await asyncio.sleep(0.05)
            if any(data.startswith(b"after") for _, data in ear.messages):
                return


async def use_everything(shared: RedisShared) -> None:
    await shared.nodes.beat(a_node(), 60.0)
    await shared.presence.put(LAURA, dict.fromkeys(USERS, NodePresence("online", 1)))
    await shared.presence.of(USERS)
    await shared.limits.debit([Spend(str(user), 1.0, 9.0) for user in USERS])


@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_nodes_follow_the_sentinels_to_the_new_primary(
    watched: Watched, open_node: Open, way: str
) -> None:
    laura, max_ = [await open_node(watched.settings, name) for name in ("laura", "max")]
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])
    await use_everything(laura)
    old = watched.current()

    (old.process.kill if way == "kill" else old.process.freeze)()
    await until_served(lambda: use_everything(laura), 15.0)
    await ear.until(lambda: ear.restored >= 1, 15.0)
    await until_heard(laura, ear)

    assert watched.current() is not old
    assert (await laura.nodes.alive())[0].id == LAURA


async def test_who_still_reaches_the_old_primary_leaves_it(
    watched: Watched, open_node: Open
) -> None:
    laura, max_ = [await open_node(watched.settings, name) for name in ("laura", "max")]
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])
    old = watched.current()

    watched.fail_over()
    await until(lambda: watched.current() is not old, 15.0)
    await ear.until(lambda: ear.restored >= 1, 15.0)
    await until_heard(laura, ear)

    await until_served(lambda: use_everything(laura), 10.0)


async def test_a_cluster_goes_on_without_one_of_its_primaries(
    cluster: Cluster, open_node: Open
) -> None:
    laura, max_ = [await open_node(cluster.settings, name) for name in ("laura", "max")]
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])
    await use_everything(laura)

    for server in cluster.primaries()[:1]:
        server.process.kill()
    await until_served(lambda: use_everything(laura), 20.0)
    await until_heard(laura, ear)

    found = await laura.presence.of(USERS)
    assert len(found) == len(USERS)


async def test_a_cluster_that_lost_most_of_itself_refuses(
    cluster: Cluster, open_node: Open
) -> None:
    laura = await open_node(cluster.settings, "laura")
    await use_everything(laura)

    for server in cluster.servers:
        server.process.kill()

    with pytest.raises(Unavailable):
        await use_everything(laura)
    laura.fanout.publish("garden", b"lost")


@pytest.mark.parametrize("kind", [Watched, Cluster])
async def test_sentinels_and_clusters_are_to_be_had_behind_tls_too(
    folder: Path, open_node: Open, kind: type[Watched] | type[Cluster]
) -> None:
    servers = kind(folder, tls=Certificates(folder))
    try:
        servers.start()
        laura, max_ = [await open_node(servers.settings, name) for name in ("laura", "max")]
        ear = Ear(max_)
        await max_.fanout.subscribe(["garden"])

        await use_everything(laura)
        laura.fanout.publish("garden", b"hello")

        assert await ear.hears(1) == [("garden", b"hello")]
    finally:
        servers.stop()
