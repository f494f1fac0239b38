"""Calls at several nodes that share a store, a memory cluster and a virtual clock."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from server.kernel.clock import Virtual
from server.kernel.events import Context
from server.kernel.ids import NodeId, RandomIds, RoomId, SocketId, UserId
from server.kernel.tasks import TaskOwner
from server.nodes.ports import Ports
from signaling.quality.wiring import keep_ends
from signaling.wiring import CallRelay, CallsPart, Urls, build
from storage.memory import MemoryStore, open_memory
from storage.memory.shared import MemoryCluster, MemoryShared
from tests.support.calls_house import STEP_S, STUN, TURN, CallsHouse, HouseLog, HouseRooms
from tests.support.outlet import FakeOutlet


class WideOutlet:
    """What all nodes' sockets hear, as `server.chat.relay.outlets.WideOutlet` has it."""

    def __init__(self, own: FakeOutlet, cluster: CallsCluster) -> None:
        self._cluster = cluster
        self.to_socket, self.flush = own.to_socket, own.flush
        self.room_event, self.end_sessions = own.room_event, own.end_sessions
        self.join, self.leave, self.online = own.join, own.leave, own.online

    def to_room(
        self,
        room_id: RoomId,
        name: str,
        payload: Any,
        *,
        without: UserId | None = None,
        ephemeral: bool = False,
    ) -> None:
        for node in self._cluster.nodes.values():
            node.outlet.to_room(room_id, name, payload, without=without)

    def to_users(
        self,
        user_ids: Iterable[UserId],
        name: str,
        payload: Any,
        *,
        ephemeral: bool = False,
        without: SocketId | None = None,
    ) -> None:
        ids = list(user_ids)
        for node in self._cluster.nodes.values():
            node.outlet.to_users(ids, name, payload, without=without)


class CallsNode(CallsHouse):
    """One node: `opens`, `asks` and so on, as at a house of its own."""

    shared: MemoryShared
    relay: CallRelay
    calls: CallsPart

    def __init__(self, cluster: CallsCluster, name: str) -> None:
        self.cluster = cluster
        self.id = NodeId(name)
        self.store = cluster.store.beside()
        self.clock = cluster.clock
        self.rooms = cluster.rooms
        self.outlet = FakeOutlet()
        self.tasks = TaskOwner(name)
        self._numbers = cluster.numbers
        for room_id, members in cluster.rooms.members.items():
            for user_id in members:
                self.outlet.join(user_id, room_id)

    async def starts(self) -> None:
        cluster = self.cluster
        self.shared = cluster.shared.open(self.id)
        self.relay = CallRelay(
            Ports(self.shared.fanout).open("c"), self.store.calls, node_id=self.id,
            alive=lambda: tuple(cluster.nodes), hub=self.outlet, clock=self.clock,
            tasks=self.tasks,
        )  # fmt: skip
        self.calls = await build(
            self.store, rooms=self.rooms, call_log=keep_ends(cluster.log, self.store, self.clock),
            outlet=WideOutlet(self.outlet, cluster), urls=Urls((*STUN, *TURN)), clock=self.clock,
            ids=RandomIds(), tasks=self.tasks, node_id=self.id, relay=self.relay,
        )  # fmt: skip


class CallsCluster:
    def __init__(self, seed: int | None = None) -> None:
        self.clock = Virtual()
        self.shared = MemoryCluster(self.clock, seed=seed)
        self.store: MemoryStore = open_memory(shared=True)
        self.rooms = HouseRooms()
        self.log = HouseLog()
        self.numbers = itertools.count(1)
        self.nodes: dict[NodeId, CallsNode] = {}

    def room(self, room_id: str, *names: str) -> None:
        self.rooms.members[RoomId(room_id)] = {
            UserId(name): "owner" if name == names[0] else "member" for name in names
        }

    async def starts(self, *names: str) -> list[CallsNode]:
        started = []
        for name in names:
            node = CallsNode(self, name)
            self.nodes[node.id] = node
            await node.starts()
            started.append(node)
            self._tell_nodes()
        await started[-1].settle()
        return started

    async def dies(self, node: CallsNode) -> None:
        """kill -9, and the others have noticed."""
        await node.tasks.close()
        self.shared.air.nodes.pop(node.id, None)
        del self.nodes[node.id]
        self._tell_nodes()
        for each in self.nodes.values():
            await each.settle()

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            for node in tuple(self.nodes.values()):
                node.calls.tick()
            for node in tuple(self.nodes.values()):
                await node.settle()

    def running(self) -> dict[str, list[str]]:
        """By node: the calls that it carries."""
        found = {}
        for node in self.nodes.values():
            calls = [row for row in self.rooms.members if node.calls.exchange.core.running(row)]
            if calls:
                found[str(node.id)] = [str(room_id) for room_id in calls]
        return found

    def _tell_nodes(self) -> None:
        for node in self.nodes.values():
            node.relay.nodes_changed(tuple(self.nodes))


@asynccontextmanager
async def calls_cluster(seed: int | None = None) -> AsyncIterator[CallsCluster]:
    cluster = CallsCluster(seed)
    try:
        yield cluster
    finally:
        for node in tuple(cluster.nodes.values()):
            await node.tasks.close()


def everybody_at(node: CallsNode, *devices: str) -> list[Context]:
    return [node.opens(device) for device in devices]
