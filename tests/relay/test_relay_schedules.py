"""Random schedules over several nodes: lost frames, cuts and deaths cost time, never an event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chat.test_schedules import STEPS, World
from tests.support.chat_house import Person, make_room
from tests.support.many_house import ManyHouse, open_many

NAMES = ("alice", "bob", "carol")
KINDS = [
    "say", "say", "say", "both", "burst", "resend", "edit", "delete", "react", "unreact", "reply",
    "expire", "read", "drop", "return", "remove", "add", "role", "rename", "pass", "crash", "cut",
    "heal", "lose", "lose_all", "keep", "outage",
]  # fmt: skip

MANY_STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 30)),
    min_size=20,
    max_size=60,
)
assert STEPS is not None


class ManyWorld(World):
    """Three people at three nodes in one room."""

    def __init__(self, many: ManyHouse, people: list[Any], room: str) -> None:
        super().__init__(many.nodes[0], people, room)
        self.many = many

    async def do(self, step: str, who: int, number: int) -> None:
        node, cluster = self.many.nodes[who], self.many.cluster
        self.house = node
        if step == "both":
            payload = self.text("at once")
            sends = [self.command(p, "message:send", payload) for p in self.people]
            await asyncio.gather(*sends)
        elif step == "cut":
            cluster.cut(node.node_id)
        elif step == "heal":
            cluster.heal()
        elif step == "lose":
            cluster.drop_next(number)
        elif step == "lose_all":
            cluster.drop_matching(lambda *_: True)
        elif step == "keep":
            cluster.drop_matching(None)
        elif step == "crash":
            cluster.heal(node.node_id)
            await node.crashes()
            self.readers[who].connected = False
            await self.switch(self.readers[who], True)
        elif step == "pass":
            await self.many.passes(seconds=number / 3)
        else:
            await super().do(step, who, number)
        await self.many.settle()
        for other in self.readers:
            other.take_live(self.room)

    async def command(self, person: Person, name: str, more: dict[str, Any]) -> None:
        await self.patiently(super().command(person, name, more))

    async def resend(self, number: int) -> None:
        await self.patiently(super().resend(number))

    async def quietly(self, call: Any) -> None:
        await self.patiently(super().quietly(call))

    async def patiently(self, work: Any) -> None:
        """What another node was asked for and does not answer takes (virtual) time."""
        task = asyncio.ensure_future(work)
        await self.many.settle()
        while not task.done():
            await self.many.passes(0.5)
        await task


async def run(steps: list[tuple[str, int, int]], seed: int) -> None:
    async with open_many(seed=seed) as many:
        people = []
        for node, name in zip(many.nodes, NAMES, strict=True):
            people += await node.joins(name)
        room = await make_room(people[0], *people[1:])
        world = ManyWorld(many, people, room)
        for step in steps:
            await world.do(*step)
        many.cluster.drop_matching(None)
        many.cluster.heal()
        await many.passes(15)
        for other in world.readers:
            other.take_live(room)
        await check(world, many, room)


async def check(world: ManyWorld, many: ManyHouse, room: str) -> None:
    log = await many.nodes[0].log_of(room)
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    by_id = {event["id"]: event for event in log}
    for _, _, answer, _ in world.acked.values():
        assert by_id[answer["id"]]["seq"] == answer["seq"], "acknowledged is there"
    client_ids = [event["client_id"] for event in log if "client_id" in event]
    assert len(client_ids) == len(set(client_ids))
    assert world.refused_repeats <= {"not_found"}, "only of those who are no members"
    assert "internal" not in world.refusals
    members = (await many.nodes[0].chat.room(room)).members  # type: ignore[arg-type]
    for reader in world.readers:
        heard = reader.person.hears(room)
        if reader.connected and reader.person.id in members and heard:
            assert heard[-1]["seq"] == len(log), "15 s later everybody connected has the tail live"
    for reader in world.readers:
        await reader.sync(room)
        ids = [reader.log[seq]["id"] for seq in sorted(reader.log)]
        whole = [event["id"] for event in log]
        if reader.person.id in members:
            assert ids == whole
        else:
            assert ids == [i for i in whole if i in set(ids)]
    for node in many.nodes:
        state = await node.chat.room(room)  # type: ignore[arg-type]
        assert state.members.keys() == members.keys()
    await world.people[0].says(room, "the end")


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(MANY_STEPS, st.integers(0, 1000))
def test_whatever_happens_between_nodes_costs_time_and_no_event(
    steps: list[tuple[str, int, int]], seed: int
) -> None:
    asyncio.run(run(steps, seed))
