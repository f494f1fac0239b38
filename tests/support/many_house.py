"""Chat on several nodes: one store and one fan-out in memory, a virtual clock, people at each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.chat.relay.relay import Relay
from server.chat.wiring import Chat
from server.kernel.clock import Virtual
from server.kernel.ids import NodeId
from server.kernel.tasks import TaskOwner
from server.nodes.ports import Ports
from storage.memory.shared import MemoryCluster
from storage.memory.store import MemoryStore, open_memory
from tests.support.chat_house import House, SeededIds


class NodeHouse(House):
    """One node. `crashes` is kill -9 and a new start as another node."""

    def __init__(self, many: ManyHouse, number: int) -> None:
        self.many = many
        self.number = number
        self.lives = itertools.count(1)
        self.event_ids = SeededIds(100 + number)
        super().__init__(store=many.store.beside(), clock=many.clock)
        self.sockets = itertools.count(1 + 1000 * number)
        self.client_ids = SeededIds(200 + number)

    def make_chat(self) -> Chat:
        self.ids = self.event_ids
        self.node_id = NodeId(f"node-{self.number}-{next(self.lives)}")
        self.shared = self.many.cluster.open(self.node_id)
        ports = Ports(self.shared.fanout)
        self.relay = Relay(
            self.store, self.outlet, node_id=self.node_id,
            rooms=ports.open("r"), users=ports.open("u"), sessions=ports.open("s"),
            commands=ports.open("n"), hubs=self.many.alive, limits=self.config.limits,
            alive=self.many.alive, clock=self.clock, tasks=self.tasks,
        )  # fmt: skip
        return Chat(
            self.store, self.relay.local, clock=self.clock, ids=self.ids, config=self.config,
            tasks=self.tasks, relay=self.relay, leads=lambda: self.number == 0,
        )  # fmt: skip

    async def crashes(self) -> None:
        await self.dies()
        await self.many.settle()
        await self.starts()

    async def dies(self) -> None:
        """Nothing is flushed, nobody is told."""
        await self.tasks.close()
        await self.shared.close()
        await self.store.close()
        self.many.dead.add(self.node_id)

    async def starts(self) -> None:
        self.tasks = TaskOwner("test")
        self.store = self.many.store.beside()
        self.outlet = type(self.outlet)()
        self._make()
        await self.relay.listen()

    async def settle(self) -> None:
        await self.many.settle()

    async def passes(self, seconds: float) -> None:
        await self.many.passes(seconds)


class ManyHouse:
    """All nodes."""

    def __init__(self, nodes: int, seed: int | None) -> None:
        self.clock = Virtual()
        self.store: MemoryStore = open_memory(shared=True)
        self.cluster = MemoryCluster(self.clock, seed=seed)
        self.dead: set[NodeId] = set()
        self.nodes = [NodeHouse(self, number) for number in range(nodes)]

    def alive(self) -> list[NodeId]:
        return [node.node_id for node in self.nodes if node.node_id not in self.dead]

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    async def passes(self, seconds: float) -> None:
        while seconds > 0:
            step = min(0.25, seconds) if seconds <= 60 else seconds - 60
            self.clock.advance(step)
            seconds -= step
            for node in self.nodes:
                if node.node_id in self.dead:
                    continue
                node.chat.tick()
                node.presence.tick()
                node.relay.tick()
                if node.number == 0:
                    await node.chat.upkeep.tick()
                await node.relay.rounds()
            await self.settle()


@asynccontextmanager
async def open_many(nodes: int = 3, *, seed: int | None = None) -> AsyncIterator[ManyHouse]:
    many = ManyHouse(nodes, seed)
    for node in many.nodes:
        await node.relay.listen()
    try:
        yield many
    finally:
        for node in many.nodes:
            if node.node_id not in many.dead:
                await node.chat.close()
            await node.tasks.close()
