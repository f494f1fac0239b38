"""Presence at several nodes that share a store, a memory cluster and a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.kernel.clock import Virtual
from server.kernel.config import Config
from server.kernel.events import Context
from server.kernel.ids import DeviceId, NodeId, Seq, SessionId, SocketId, UserId
from server.kernel.tasks import TaskOwner
from server.nodes.ports import Ports
from server.nodes.watch import NodeWatch
from server.presence.shapes import PresenceView, SetPresence
from server.presence.wiring import PresencePart
from storage.api import DropMember, MemberRow, Node, PutMember, Shared
from storage.memory import MemoryStore, open_memory
from storage.memory.shared import MemoryCluster
from tests.support.outlet import FakeOutlet
from tests.support.stores import GARDEN, batch, event, fill

STEP_S = 0.25


class PresenceNode:
    """One process. It beats on its own phase, as real ones do."""

    def __init__(self, house: PresenceHouse, name: str, phase_s: float) -> None:
        self.house = house
        self.id = NodeId(name)
        self.outlet = FakeOutlet()
        self.tasks = TaskOwner(name)
        self.open: dict[SocketId, Context] = {}
        self.paused = False
        self._beat_at = house.clock.monotonic() + phase_s
        self.shared: Shared = house.cluster.open(self.id)
        ports = Ports(self.shared.fanout)
        self.presence = PresencePart(
            house.store, self.outlet, clock=house.clock, config=house.config, tasks=self.tasks,
            node_id=self.id, shared=self.shared.presence, fanout=ports.open("p"),
        )  # fmt: skip
        self.watch = NodeWatch(
            Node(self.id, house.clock.now_ms(), "1"), self.shared.nodes,
            clock=house.clock, tasks=self.tasks, config=house.config.cluster,
        )  # fmt: skip
        self.watch.on_change(self.presence.nodes_changed)
        self.watch.on_forgotten(self.presence.forgotten)

    async def beats(self) -> None:
        now = self.house.clock.monotonic()
        if now >= self._beat_at:
            reached = await self.watch.beat()
            self._beat_at = now + (self.house.config.cluster.beat_s if reached else 0.5)

    def pauses(self) -> None:
        """SIGSTOP: it hears and does nothing; its connections break meanwhile."""
        self.paused = True
        self.house.cluster.cut(self.id)

    def resumes(self) -> None:
        if self.paused:
            self.paused = False
            self.house.cluster.heal(self.id)

    def opens(self, user_id: str) -> Context:
        ctx = self.house.context(user_id)
        self.open[ctx.socket_id] = ctx
        self.outlet.open(ctx, ())
        self.presence.opened(ctx)
        return ctx

    def closes(self, ctx: Context) -> None:
        self.open.pop(ctx.socket_id)
        self.outlet.close(ctx.socket_id)
        self.presence.closed(ctx)

    async def watches(self, ctx: Context, *user_ids: str) -> dict[UserId, PresenceView]:
        return await self.presence.watch(ctx, [UserId(user_id) for user_id in user_ids])

    def told(self, ctx: Context, user_id: str) -> list[str]:
        """What the socket heard of the user, by status."""
        news = self.outlet.sockets[ctx.socket_id].named("presence:changed")
        return [entry["status"] for entry in news if entry["user_id"] == user_id]


class PresenceHouse:
    """Everybody shares one room."""

    def __init__(self, seed: int | None = None) -> None:
        self.config = Config()
        self.clock = Virtual()
        self.cluster = MemoryCluster(self.clock, seed=seed)
        self.store: MemoryStore = open_memory()
        self.nodes: dict[str, PresenceNode] = {}
        self._numbers = itertools.count(1)
        self._phases = random.Random(seed or 1)

    async def users(self, *names: str) -> None:
        await fill(self.store, event(1))
        rows = [MemberRow(GARDEN, UserId(name), "member", Seq(1), 1) for name in names]
        members = [PutMember(row) for row in rows]
        await self.store.projections.apply(GARDEN, from_seq=Seq(0), to_seq=Seq(1), changes=members)

    async def parts(self, name: str) -> None:
        """He leaves the room."""
        changes = [DropMember(UserId(name))]
        assert await self.store.log.append(batch(event(2))) is None
        await self.store.projections.apply(GARDEN, from_seq=Seq(1), to_seq=Seq(2), changes=changes)

    async def starts(self, *names: str) -> list[PresenceNode]:
        started = []
        for name in names:
            node = PresenceNode(self, name, self._phases.uniform(0, 2))
            await node.watch.beat()
            self.nodes[name] = node
            started.append(node)
        await self.passes(2.5)
        return started

    async def dies(self, name: str) -> None:
        """kill -9."""
        node = self.nodes.pop(name)
        await node.tasks.close()
        self.cluster.air.nodes.pop(node.id, None)

    async def leaves(self, name: str) -> None:
        """SIGTERM: its sockets are closed, then it says goodbye."""
        node = self.nodes[name]
        for ctx in tuple(node.open.values()):
            node.closes(ctx)
        await self.settle()
        await node.presence.close()
        await node.watch.close()
        await self.dies(name)

    async def sets(self, node: PresenceNode, ctx: Context, status: str, text: str = "") -> None:
        await node.presence.set(ctx, SetPresence(status, text))  # type: ignore[arg-type]
        await self.settle()

    def context(self, user_id: str) -> Context:
        number = next(self._numbers)
        return Context(
            UserId(user_id),
            DeviceId(f"device-{number}"),
            SessionId(f"session-{number}"),
            SocketId(f"socket-{number}"),
        )

    async def settle(self) -> None:
        for _ in range(25):
            await asyncio.sleep(0)

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            for node in tuple(self.nodes.values()):
                if not node.paused:
                    node.presence.tick()
                    await node.beats()
            await self.settle()


@asynccontextmanager
async def presence_house(seed: int | None = None) -> AsyncIterator[PresenceHouse]:
    house = PresenceHouse(seed)
    try:
        yield house
    finally:
        for name in tuple(house.nodes):
            await house.dies(name)
