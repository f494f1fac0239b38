"""Random schedules of people and dying nodes: one node carries a call, its end is logged once."""

from __future__ import annotations

import random

import pytest

from server.kernel.errors import AppError
from server.kernel.events import Context
from server.kernel.ids import RoomId
from tests.support.calls_cluster import CallsCluster, CallsNode, calls_cluster
from tests.support.waiting import until

ROOMS = {"duo": ("alice", "bob"), "garden": ("alice", "bob", "carol")}
REFUSALS = ("conflict", "not_found", "unavailable", "rate_limited")
DEVICES = ("alice", "bob", "bob.laptop", "carol")


class Play:
    def __init__(self, cluster: CallsCluster, seed: int) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.at: dict[str, tuple[CallsNode, Context]] = {}
        self.calls: list[str] = []
        self.started: set[str] = set()
        self.names = iter(f"node{n}" for n in range(100))

    async def begins(self) -> None:
        for room_id, names in ROOMS.items():
            self.cluster.room(room_id, *names)
        await self.cluster.starts(next(self.names), next(self.names), next(self.names))

    async def moves(self) -> None:
        move = self.random.choices(
            ("start", "accept", "leave", "open", "close", "pass", "lose", "die"),
            (4, 6, 2, 4, 2, 4, 1, 1),
        )[0]
        device = self.random.choice(DEVICES)
        match move:
            case "pass":
                await self.cluster.passes(self.random.choice((0.25, 2.0, 6.0, 16.0)))
            case "lose":
                self.cluster.shared.drop_next(self.random.randint(1, 3), _is_of_sockets)
            case "die":
                await self._node_dies()
            case "open":
                self._opens(device)
            case "close":
                if device in self.at:
                    node, ctx = self.at.pop(device)
                    node.closes(ctx)
            case _:
                if device in self.at:
                    await self._asks(move, device)
        for node in self.cluster.nodes.values():
            await node.settle()

    def _opens(self, device: str) -> None:
        if device not in self.at:
            node = self.random.choice(list(self.cluster.nodes.values()))
            self.at[device] = (node, node.opens(device))

    async def _asks(self, move: str, device: str) -> None:
        node, ctx = self.at[device]
        try:
            if move == "start":
                room_id = self.random.choice([r for r, n in ROOMS.items() if ctx.user_id in n])
                joined = await node.asks(ctx, "call:start", room_id=room_id, media="audio")
                self.calls.append(joined["call"]["id"])
            elif self.calls:
                call_id = self.random.choice(self.calls[-3:])
                await node.asks(ctx, f"call:{move}", call_id=call_id)
        except AppError as refused:
            if refused.code not in REFUSALS:
                raise

    async def _node_dies(self) -> None:
        node = self.random.choice(list(self.cluster.nodes.values()))
        await self.cluster.dies(node)
        for device in [d for d, (where, _) in self.at.items() if where is node]:
            del self.at[device]
        await self.cluster.starts(next(self.names))

    def is_sound(self) -> None:
        logged = [record.call_id for record in self.cluster.log.records]
        assert len(set(logged)) == len(logged), "logged twice"
        for room_id in ROOMS:
            carry = [
                node.id
                for node in self.cluster.nodes.values()
                if node.calls.exchange.core.running(RoomId(room_id)) is not None
            ]
            assert len(carry) <= 1, (room_id, carry)

    def _all_kept(self) -> bool:
        return not any(len(node.calls.exchange.keeping) for node in self.cluster.nodes.values())

    async def ends(self) -> None:
        self.cluster.shared.drop_matching(None)
        for node, ctx in self.at.values():
            node.closes(ctx)
        await self.cluster.passes(60)
        # What the store refused is tried again after a real pause.
        await until(self._all_kept, 10)
        self.is_sound()
        assert {record.call_id for record in self.cluster.log.records} == set(self.calls)
        assert await self.cluster.store.calls.all() == []


def _is_of_sockets(publisher: str, channel: str, data: bytes) -> bool:
    """What comes and goes may be lost; a lost command is `unavailable` after 2 s of real time."""
    return channel == "c:all"


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
async def test_whatever_happens_to_nodes_calls_stay_sound(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        async with calls_cluster(seed) as cluster:
            play = Play(cluster, seed)
            await play.begins()
            for _ in range(40):
                await play.moves()
                play.is_sound()
            await play.ends()
