"""The calls of one process, with a store, sockets that remember, and a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from media.api import PacketPlane
from server.kernel.clock import Virtual
from server.kernel.errors import Forbidden, NotFound, Unavailable
from server.kernel.events import Context
from server.kernel.ids import DeviceId, RandomIds, RoomId, SessionId, SocketId, UserId
from server.kernel.shapes import fit
from server.kernel.tasks import TaskOwner
from signaling.inputs import RoomFacts
from signaling.quality.wiring import keep_ends
from signaling.rules import CallLimits
from signaling.views import CallRecord
from signaling.wiring import CallsPart, Urls, build
from storage.api import Store
from storage.memory import open_memory
from tests.support.outlet import FakeOutlet, FakeSocket

STEP_S = 0.25
STUN, TURN = ("stun:chat.example:3478",), ("turn:chat.example:3478", "turns:chat.example:5349")


class HouseRooms:
    """Implements `signaling.ports.Rooms`. `public` rooms may be known to strangers; `at_once`: the
    answer is in memory.
    """

    at_once = False

    def __init__(self) -> None:
        self.members: dict[RoomId, dict[UserId, str]] = {}
        self.public: set[RoomId] = set()
        self.silent: set[UserId] = set()
        """Those who may not call."""

    async def facts(self, room_id: RoomId, user_id: UserId, *, rings_up_to: int) -> RoomFacts:
        if not self.at_once:
            await asyncio.sleep(0)
        members = self.members.get(room_id, {})
        if user_id not in members:
            if room_id in self.public:
                raise Forbidden("Join this room first.")
            raise NotFound("There is no such room.", field="room_id")
        seen = tuple(members) if len(members) <= rings_up_to else None
        may_call = user_id not in self.silent
        return RoomFacts(room_id, len(members) == 2, members[user_id], seen, may_call)  # type: ignore[arg-type]


class HouseLog:
    """Implements `signaling.ports.CallLog`."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.outage = False

    async def append(self, record: CallRecord) -> None:
        await asyncio.sleep(0)
        if self.outage:
            raise Unavailable("Not now.")
        if record.call_id not in [each.call_id for each in self.records]:
            self.records.append(record)


class CallsHouse:
    """One process; `is_killed` and `starts` make it the next one on the same store."""

    def __init__(self, store: Store, limits: CallLimits, plane: PacketPlane | None) -> None:
        self.store = store
        self.limits = limits
        self.plane = plane
        self.clock = Virtual()
        self.rooms = HouseRooms()
        self.log = HouseLog()
        self.outlet = FakeOutlet()
        self._numbers = itertools.count(1)
        self.tasks = TaskOwner("calls")
        self.calls: CallsPart

    async def starts(self) -> None:
        self.tasks = TaskOwner("calls")
        self.calls = await build(
            self.store, rooms=self.rooms, outlet=self.outlet,
            call_log=keep_ends(self.log, self.store, self.clock),
            urls=Urls((*STUN, *TURN)),
            clock=self.clock, ids=RandomIds(), tasks=self.tasks, limits=self.limits,
            plane=self.plane,
        )  # fmt: skip
        await self.settle()

    async def is_killed(self) -> None:
        """All tasks stop where they are, all sockets are gone."""
        await self.tasks.close()
        self.outlet.sockets.clear()

    def room(self, room_id: str, *names: str) -> str:
        room = RoomId(room_id)
        self.rooms.members[room] = {
            UserId(name): "owner" if name == names[0] else "member" for name in names
        }
        for name in names:
            self.outlet.join(UserId(name), room)
        return room_id

    def opens(self, device: str) -> Context:
        """`alice.laptop` is a device of Alice; each time another socket."""
        user_id = UserId(device.partition(".")[0])
        socket_id = SocketId(f"{device}#{next(self._numbers)}")
        ctx = Context(user_id, DeviceId(device), SessionId(f"session-{device}"), socket_id)
        self.outlet.open(ctx, ())
        self.calls.opened(ctx)
        return ctx

    def closes(self, ctx: Context) -> None:
        self.outlet.close(ctx.socket_id)
        self.calls.closed(ctx)

    async def asks(self, ctx: Context, name: str, **payload: Any) -> Any:
        """The `data` of the acknowledgement, as JSON. Raises AppError."""
        event = next(each for each in self.calls.events if each.name == name)
        answer = await event.handler(ctx, fit(payload, event.shape))
        await self.settle()
        return msgspec.json.decode(msgspec.json.encode(answer))

    def socket(self, ctx: Context) -> FakeSocket:
        return self.outlet.sockets[ctx.socket_id]

    def states(self, ctx: Context) -> list[tuple[str, str | None]]:
        """State and reason of each `call:state` that the socket heard."""
        heard = [each["call"] for each in self.socket(ctx).named("call:state")]
        return [(call["state"], call.get("reason")) for call in heard]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            self.calls.exchange.tick()
            await self.settle()


@asynccontextmanager
async def calls_house(
    store: Store | None = None,
    *,
    limits: CallLimits | None = None,
    plane: PacketPlane | None = None,
) -> AsyncIterator[CallsHouse]:
    house = CallsHouse(store or open_memory(), limits or CallLimits(), plane)
    await house.starts()
    try:
        yield house
    finally:
        await house.is_killed()
