"""Random schedules in virtual time: what members fold is what the log folds, whatever happens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.chat.fold import rebuild
from server.kernel.errors import AppError
from tests.support.chat_house import ROOMS, House, Person, make_room, open_house

NAMES = ("alice", "bob", "carol")

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["say", "say", "say", "burst", "resend", "edit", "delete", "react", "unreact", "reply",
             "expire", "read", "drop", "return", "remove", "add", "role", "rename", "pass", "jump",
             "crash", "outage"]
        ),
        st.integers(0, 2),
        st.integers(0, 30),
    ),
    min_size=25,
    max_size=80,
)  # fmt: skip


class Reader:
    """A client that folds: events by seq, live or by sync, across connections."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.log: dict[int, Any] = {}
        self.log_id = ""
        self.taken = 0
        self.connected = True

    def take_live(self, room: str) -> None:
        heard = self.person.hears(room)
        before = 0
        for event in heard:
            returns = event["content"] and event["content"].get("user_id") == self.person.id
            assert event["seq"] == before + 1 or before == 0 or returns, "live events ascend by 1"
            before = event["seq"]
        for event in heard[self.taken :]:
            self.keep(event)
        self.taken = len(heard)

    def keep(self, event: Any) -> None:
        there = self.log.setdefault(event["seq"], event)
        same = {k: v for k, v in event.items() if k not in ("content", "gone", "mentions")}
        assert same == {k: there[k] for k in same}, "one seq, one event"

    async def sync(self, room: str) -> None:
        while True:
            seq = 0
            while seq + 1 in self.log:
                seq += 1
            named = {room: {"log_id": self.log_id or "?", "seq": seq}}
            answer = await self.person.asks("sync", rooms=named, limit=7)
            if not answer["rooms"]:
                assert answer["removed"] == [room]
                return
            (synced,) = answer["rooms"]
            self.log_id = synced["room"]["log_id"]
            if synced.get("reset"):
                continue
            for event in synced["events"]:
                self.keep(event)
            if not synced["more"]:
                return


class World:
    """Three people in one room, and what they acknowledgedly did."""

    def __init__(self, house: House, people: list[Person], room: str) -> None:
        self.house = house
        self.people = people
        self.room = room
        self.readers = [Reader(person) for person in people]
        self.refusals: set[str] = set()
        self.refused_repeats: set[str] = set()
        self.acked: dict[str, tuple[str, dict[str, Any], Any, Person]] = {}

    async def do(self, step: str, who: int, number: int) -> None:
        person, reader = self.people[who], self.readers[who]
        owner, seq = self.people[0], max(1, number)
        member = f"{ROOMS}/{self.room}/members"
        if step == "burst":
            sends = [self.command(person, "message:send", self.text(f"{n}")) for n in range(5)]
            await asyncio.gather(*sends)
        elif step in ("say", "expire", "reply"):
            more: dict[str, Any] = {"mentions": {"user_ids": [NAMES[number % 3]]}}
            if step == "expire":
                more = {"expires_in_s": 1 + number}
            if step == "reply":
                more = {"thread_seq": seq}
            await self.command(person, "message:send", {**self.text("hello"), **more})
        elif step == "edit":
            await self.command(person, "message:edit", {"seq": seq, **self.text("new")})
        elif step == "delete":
            await self.command(person, "message:delete", {"seq": seq})
        elif step in ("react", "unreact"):
            name = "reaction:add" if step == "react" else "reaction:remove"
            await self.command(person, name, {"seq": seq, "emoji": "xyz"[number % 3]})
        elif step == "read":
            await self.quietly(person.asks("receipt:set", room_id=self.room, read_seq=number))
        elif step == "resend" and self.acked:
            await self.resend(number)
        elif step == "remove":
            await self.quietly(owner.calls("DELETE", f"{member}/{person.id}"))
        elif step == "add":
            await self.quietly(owner.calls("POST", member, {"user_ids": [person.id]}))
        elif step == "role":
            role = ("admin", "member")[number % 2]
            await self.quietly(owner.calls("PATCH", f"{member}/{person.id}", {"role": role}))
        elif step == "rename":
            body = {"name": f"Room {number}"}
            await self.quietly(owner.calls("PATCH", f"{ROOMS}/{self.room}", body))
        elif step in ("drop", "return"):
            await self.switch(reader, step == "return")
        elif step == "outage":
            self.house.store.outage = True
            await self.command(person, "message:send", self.text("lost"))
            self.house.store.outage = False
        elif step == "crash":
            await self.house.crashes()
            for other in self.readers:
                other.connected = False
                await self.switch(other, True)
        elif step == "pass":
            await self.house.passes(seconds=number)
        elif step == "jump":
            self.house.clock.jump_ms((number - 15) * 1000)
        await self.house.settle()
        for other in self.readers:
            other.take_live(self.room)

    async def switch(self, reader: Reader, on: bool) -> None:
        if on and not reader.connected:
            await reader.person.connects()
            reader.taken = 0
            await reader.sync(self.room)
        elif not on and reader.connected:
            await reader.person.drops()
            reader.person.socket.heard.clear()
            reader.taken = 0
        reader.connected = on

    async def command(self, person: Person, name: str, more: dict[str, Any]) -> None:
        payload = {"room_id": self.room, "client_id": self.house.client_id(), **more}
        try:
            answer = await person.asks(name, **payload)
        except AppError as error:
            self.refusals.add(error.code)
            return
        self.acked[payload["client_id"]] = (name, payload, answer, person)

    async def resend(self, number: int) -> None:
        name, payload, answer, person = list(self.acked.values())[number % len(self.acked)]
        try:
            assert await person.asks(name, **payload) == answer
        except AppError as error:
            self.refused_repeats.add(error.code)

    async def quietly(self, call: Any) -> None:
        try:
            await call
        except AppError as error:
            self.refusals.add(error.code)

    def text(self, body: str) -> dict[str, Any]:
        return {"content": {"type": "text", "body": body}}


def tables(house: House) -> Any:
    rooms = house.store.projections._rooms
    return {room_id: dict(state.__dict__) for room_id, state in rooms.items()}


async def run(steps: list[tuple[str, int, int]]) -> None:
    async with open_house() as house:
        people = await house.joins(*NAMES)
        room = await make_room(people[0], *people[1:])
        world = World(house, people, room)
        for step in steps:
            await world.do(*step)

        for reader in world.readers:
            await reader.sync(room)
        log = await house.log_of(room)
        await check(world, log)


async def check(world: World, log: list[Any]) -> None:
    house, room = world.house, world.room
    seqs = [event["seq"] for event in log]
    assert seqs == list(range(1, len(log) + 1))
    by_id = {event["id"]: event for event in log}
    for _, _, answer, _ in world.acked.values():
        assert by_id[answer["id"]]["seq"] == answer["seq"], "acknowledged is there"
    client_ids = [event["client_id"] for event in log if "client_id" in event]
    assert len(client_ids) == len(set(client_ids))
    assert world.refused_repeats <= {"not_found"}, "only of those who are no members"
    assert "internal" not in world.refusals
    views = await house.chat.views(world.people[0].ctx.user_id)
    for reader in world.readers:
        member = (await house.chat.room(room)).members.get(reader.person.id)  # type: ignore[arg-type]
        ids = [reader.log[seq]["id"] for seq in sorted(reader.log)]
        whole = [event["id"] for event in log]
        there = whole if member is not None else [i for i in whole if i in set(ids)]
        assert ids == there, "a member has all, one who was removed what came before"
    await house.chat.flush(room)  # type: ignore[arg-type]
    state = await house.chat.room(room)  # type: ignore[arg-type]
    live = {m.user_id: m for m in state.members.values()}
    stored = {m.user_id: m for m in await house.store.projections.all_members(state.room_id)}
    assert live == stored
    before = tables(house)
    await rebuild(house.store)
    assert tables(house) == before
    assert await house.chat.views(world.people[0].ctx.user_id) == views


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS)
def test_every_member_folds_the_log_and_projections_are_its_fold(
    steps: list[tuple[str, int, int]],
) -> None:
    asyncio.run(run(steps))
