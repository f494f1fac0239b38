"""Behind a real hub: what a socket hears before an answer is from before it, the rest is not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from server.kernel.clock import System
from server.kernel.ids import RandomIds, UserId
from server.kernel.tasks import TaskOwner
from signaling.rules import CallLimits
from signaling.wiring import Urls, build
from storage.memory import open_memory
from tests.support.calls_house import HouseLog, HouseRooms
from tests.support.hub_house import GARDEN, House, Member, hub_house

CALLS = 20
FREE = CallLimits(starts_per_s=0, starts_burst=0)


@asynccontextmanager
async def calling_house() -> AsyncIterator[House]:
    rooms = HouseRooms()
    rooms.at_once = True
    rooms.members[GARDEN] = {UserId("alice"): "owner", UserId("bob"): "member"}
    tasks = TaskOwner("calls")
    async with hub_house() as house:
        calls = await build(
            open_memory(), rooms=rooms, call_log=HouseLog(), outlet=house.hub.outlet, urls=Urls(),
            clock=System(), ids=RandomIds(), tasks=tasks, limits=FREE,
        )  # fmt: skip
        house.hub.mount(calls.events)
        house.hub.observe(calls)
        yield house
        await calls.close()
        await tasks.close()


async def asks(member: Member, ack: str, name: str, **payload: Any) -> None:
    await member.send(f"42{ack}{json.dumps([name, payload])}")


async def hears(member: Member, ack: str, call_id: str = "") -> tuple[list[int], dict[str, Any]]:
    """The revisions of the call's states until the answer, and the answer."""
    revisions = []
    while True:
        text = await member.hear()
        if text.startswith(f"43{ack}["):
            return revisions, json.loads(text[2 + len(ack) :])[0]["data"]
        if text.startswith("43"):  # of an earlier command, which nobody waited for
            continue
        name, payload = json.loads(text[2:])
        if name == "call:state" and payload["call"]["id"] == call_id:
            revisions.append(payload["call"]["revision"])


async def test_of_two_commands_at_once_the_states_stay_on_their_side_of_the_answer() -> None:
    async with calling_house() as house:
        alice, bob = await house.joins("alice"), await house.joins("bob")
        for number in range(CALLS):
            start, mute, accept, leave = (f"{number}{digit}" for digit in range(4))
            await asks(alice, start, "call:start", room_id=GARDEN, media="video")
            _, started = await hears(alice, start)
            call_id = started["call"]["id"]

            await asks(alice, mute, "call:mute", call_id=call_id, track_id="mic", muted=False)
            await asks(bob, accept, "call:accept", call_id=call_id)
            before, accepted = await hears(bob, accept, call_id)
            await asks(bob, leave, "call:leave", call_id=call_id)
            after, _ = await hears(bob, leave, call_id)

            newest = accepted["call"]["revision"]
            assert all(revision < newest for revision in before), (before, newest)
            assert after, "the state that the accept made"
            assert all(revision >= newest for revision in after), (newest, after)
