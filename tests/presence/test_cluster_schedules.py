"""Whatever happens to sockets, nodes and what they share: soon all watchers know how it is."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from server.kernel.events import Context
from server.kernel.ids import UserId
from tests.support.presence_house import PresenceHouse, PresenceNode, presence_house

USERS = ("bob", "carol")
ACTIONS = (
    "open", "open", "close", "move", "move", "pass", "pass", "pass", "set", "die", "start", "leave",
    "flush", "cut", "heal", "watch", "pause", "resume",
)  # fmt: skip
STEPS = st.tuples(st.sampled_from(ACTIONS), st.integers(1, 1000))
RIGHT_WITHIN_S = 10.0

Belief = tuple[str, str | None, int | None]


@dataclass
class World:
    house: PresenceHouse
    choice: random.Random
    watchers: list[tuple[PresenceNode, Context, dict[UserId, Belief]]] = field(default_factory=list)
    names: int = 0
    done: list[str] = field(default_factory=list)

    async def does(self, action: str, dice: int) -> None:
        self.choice = random.Random(dice)
        nodes = [node for node in self.house.nodes.values() if not node.paused]
        node = self.choice.choice(nodes) if nodes else None
        if node is None and action not in ("start", "resume", "heal", "pass", "flush"):
            return
        self.done.append(f"{self.house.clock.monotonic()} {action} {node.id if node else ''}")
        await getattr(self, f"_{action}")(node)

    async def _open(self, node: PresenceNode) -> None:
        node.opens(self.choice.choice(USERS))
        await self.house.settle()

    def _device(self) -> tuple[PresenceNode, Context] | None:
        every = [
            (node, ctx)
            for node in self.house.nodes.values()
            for ctx in node.open.values()
            if ctx.user_id in USERS and not node.paused
        ]
        return self.choice.choice(every) if every else None

    async def _close(self, node: PresenceNode) -> None:
        found = self._device()
        if found is not None:
            found[0].closes(found[1])
            await self.house.settle()

    async def _move(self, node: PresenceNode) -> None:
        found = self._device()
        if found is not None:
            found[0].closes(found[1])
            node.opens(found[1].user_id)

    async def _pass(self, node: PresenceNode | None) -> None:
        await self.house.passes(self.choice.choice((0.25, 0.5, 1, 3, 6)))

    async def _set(self, node: PresenceNode) -> None:
        found = self._device()
        if found is not None:
            status = self.choice.choice(("online", "busy", "away", "invisible"))
            await self.house.sets(*found, status, self.choice.choice(("", "text")))

    async def _die(self, node: PresenceNode) -> None:
        if len(self.house.nodes) > 1:
            await self.house.dies(node.id)

    async def _leave(self, node: PresenceNode) -> None:
        if len(self.house.nodes) > 1:
            await self.house.leaves(node.id)

    async def _start(self, node: PresenceNode | None) -> None:
        if len(self.house.nodes) < 4:
            self.names += 1
            await self.house.starts(f"n{self.choice.randint(0, 9)}-{self.names}")

    async def _flush(self, node: PresenceNode | None) -> None:
        self.house.cluster.flush_all()

    async def _cut(self, node: PresenceNode) -> None:
        self.house.cluster.cut(node.id)

    async def _heal(self, node: PresenceNode | None) -> None:
        self.house.cluster.heal()

    async def _pause(self, node: PresenceNode) -> None:
        node.pauses()

    async def _resume(self, node: PresenceNode | None) -> None:
        for one in self.house.nodes.values():
            one.resumes()

    async def _watch(self, node: PresenceNode) -> None:
        alice = node.opens("alice")
        await self.house.settle()
        answer = await node.watches(alice, *USERS)
        beliefs = {
            user_id: (view.status, view.text or None, view.last_seen_at or None)
            for user_id, view in answer.items()
        }
        self.watchers.append((node, alice, beliefs))

    async def ends(self) -> None:
        await self._heal(None)
        await self._resume(None)
        await self.house.passes(RIGHT_WITHIN_S)

    def believed(self) -> list[dict[UserId, Belief]]:
        found = []
        for node, ctx, beliefs in self.watchers:
            if self.house.nodes.get(node.id) is not node or ctx.socket_id not in node.open:
                continue
            now = dict(beliefs)
            for news in node.outlet.sockets[ctx.socket_id].named("presence:changed"):
                now[news["user_id"]] = (news["status"], news.get("text"), news.get("last_seen_at"))
            found.append(now)
        return found

    async def truth(self) -> dict[UserId, Belief]:
        rows = await self.house.store.accounts.presence([UserId(name) for name in USERS])
        return {UserId(name): self._truth(rows.get(UserId(name)), name) for name in USERS}

    def _truth(self, row: object, name: str) -> Belief:
        status = getattr(row, "status", "online")
        here = any(
            ctx.user_id == name for node in self.house.nodes.values() for ctx in node.open.values()
        )
        if not here or status == "invisible":
            return ("offline", None, getattr(row, "last_seen_at", None))
        return (status, getattr(row, "text", None), None)


def statuses(beliefs: dict[UserId, Belief]) -> dict[UserId, Belief]:
    return {user_id: (*belief[:2], None) for user_id, belief in beliefs.items()}


async def run(noise: int, actions: list[tuple[str, int]]) -> None:
    async with presence_house(noise) as house:
        await house.users("alice", *USERS)
        world = World(house, random.Random(noise))
        await world._start(None)
        await world._start(None)
        await world._watch(next(iter(house.nodes.values())))
        for action in actions:
            await world.does(*action)
        await world.ends()

        truth = await world.truth()
        for believed in world.believed():
            if {"die", "cut", "pause"} & dict(actions).keys():  # then a last-seen may come later
                believed, truth = statuses(believed), statuses(truth)
            assert believed == truth, "\n".join((f"{noise} {actions}", *world.done))


@pytest.mark.slow
@seed(4)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
@given(st.integers(1, 10_000), st.lists(STEPS, min_size=5, max_size=40))
def test_ten_seconds_after_any_schedule_all_watchers_agree_with_the_truth(
    noise: int, actions: list[tuple[str, int]]
) -> None:
    asyncio.run(run(noise, actions))
