"""Presence of two nodes over a real Redis that forgets, goes away and comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from server.kernel.clock import System
from server.kernel.config import Config
from server.kernel.events import Context
from server.kernel.ids import DeviceId, NodeId, Seq, SessionId, SocketId, UserId
from server.kernel.tasks import TaskOwner
from server.nodes.ports import Ports
from server.nodes.watch import NodeWatch
from server.presence.wiring import PresencePart, build
from storage.api import MemberRow, Node, PutMember
from storage.memory import MemoryStore, open_memory
from storage.redis import open_redis
from tests.support.outlet import FakeOutlet
from tests.support.servers.base import Missing, missing, server_folder
from tests.support.servers.redis import Server
from tests.support.stores import GARDEN, event, fill
from tests.support.waiting import until

pytestmark = pytest.mark.slow

BOB = UserId("bob")
RIGHT_WITHIN_S = 10.0


class LiveNode:
    """One node as compose makes it, of presence alone."""

    numbers = itertools.count(1)

    def __init__(self, name: str) -> None:
        self.id = NodeId(name)
        self.tasks = TaskOwner(name)
        self.outlet = FakeOutlet()
        self.presence: PresencePart

    async def start(self, redis: Server, store: MemoryStore) -> None:
        config, clock = Config(), System()
        self.shared = await open_redis(redis.settings, node_id=self.id, clock=clock)
        self.presence = build(
            config, store, outlet=self.outlet, clock=clock, tasks=self.tasks,
            node_id=self.id, shared=self.shared.presence,
            fanout=Ports(self.shared.fanout).open("p"),
        )  # fmt: skip
        self.watch = NodeWatch(
            Node(self.id, clock.now_ms(), "1"), self.shared.nodes,
            clock=clock, tasks=self.tasks, config=config.cluster,
        )  # fmt: skip
        self.watch.on_change(self.presence.nodes_changed)
        self.watch.on_forgotten(self.presence.forgotten)
        await self.watch.start()
        self.presence.nodes_changed(self.watch.alive)

    async def dies(self) -> None:
        """As a killed process does: nothing is said."""
        await self.tasks.close()
        await self.shared.close()

    async def opens(self, user_id: str) -> Context:
        number = next(self.numbers)
        ctx = Context(
            UserId(user_id), DeviceId(f"d{number}"), SessionId(f"s{number}"), SocketId(f"k{number}")
        )
        self.outlet.open(ctx, ())
        self.presence.opened(ctx)
        await asyncio.sleep(0)
        return ctx

    def told(self, ctx: Context) -> list[str]:
        news = self.outlet.sockets[ctx.socket_id].named("presence:changed")
        return [entry["status"] for entry in news]


@pytest.fixture
def redis() -> Iterator[Server]:
    try:
        with server_folder("redis") as folder:
            server = Server(folder, "redis")
            server.start()
            try:
                yield server
            finally:
                server.stop()
    except Missing as gone:
        missing("redis", str(gone))


@pytest.fixture
async def nodes(redis: Server) -> AsyncIterator[list[LiveNode]]:
    store = open_memory()
    await fill(store, event(1))
    members = [
        PutMember(MemberRow(GARDEN, user_id, "member", Seq(1), 1))
        for user_id in (UserId("alice"), BOB)
    ]
    await store.projections.apply(GARDEN, from_seq=Seq(0), to_seq=Seq(1), changes=members)
    async with AsyncExitStack() as stack:
        made = [LiveNode("one"), LiveNode("other")]
        for node in made:
            await node.start(redis, store)
            stack.push_async_callback(node.dies)
        await until(lambda: len(made[0].watch.alive) == len(made[1].watch.alive) == 2)
        yield made


async def test_presence_is_right_10_s_after_redis_forgot_all_or_was_away(
    redis: Server, nodes: list[LiveNode]
) -> None:
    one, other = nodes
    alice, bob = await one.opens("alice"), await other.opens("bob")
    await one.presence.watch(alice, [BOB])

    redis.flush_all()
    await asyncio.sleep(RIGHT_WITHIN_S)
    after_flush = one.told(alice)
    redis.process.kill()
    await asyncio.sleep(3)
    other.presence.closed(bob)
    redis.start()
    await until(lambda: one.told(alice)[-1:] == ["offline"], RIGHT_WITHIN_S)
    again = await other.opens("bob")
    await until(lambda: one.told(alice)[-1:] == ["online"], 2.0)

    assert "offline" not in after_flush
    assert one.told(alice)[len(after_flush) :] == ["offline", "online"]
    assert again.socket_id


async def test_users_of_a_killed_node_are_offline_within_10_s(nodes: list[LiveNode]) -> None:
    one, other = nodes
    alice = await one.opens("alice")
    await other.opens("bob")
    await one.presence.watch(alice, [BOB])
    await until(lambda: one.told(alice) in ([], ["online"]))

    await other.dies()

    await until(lambda: one.told(alice)[-1:] == ["offline"], RIGHT_WITHIN_S)
