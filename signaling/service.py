"""Calls as clients use them: who may, which room, then the exchange that carries the call."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import msgspec

from media.api import PacketPlane
from server.kernel.clock import Clock
from server.kernel.errors import AppError, NotFound
from server.kernel.events import Context
from server.kernel.ids import DeviceId, Ids, NodeId, RoomId, SocketId, UserId
from server.kernel.json import encode
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from signaling.delivery import Delivery
from signaling.exchange import Exchange
from signaling.inputs import (
    Accept,
    Caller,
    Command,
    Decline,
    DeviceOut,
    End,
    Leave,
    MemberIn,
    MemberOut,
    Mute,
    Reported,
    Restore,
    RoomFacts,
    Shown,
    Signal,
    SocketDown,
    SocketUp,
    Start,
)
from signaling.keeping import Keeping
from signaling.outputs import Answered, Offered
from signaling.ports import CallLog, EndedCalls, Rooms
from signaling.relay import CallRelay
from signaling.rules import CallLimits, no_call
from signaling.shapes import AcceptCall, Joined, MuteTrack, OneCall, SignalDevice, StartCall
from signaling.switchboard import Switchboard
from signaling.tickets import Tickets
from signaling.views import SavedCall
from storage.api import OpenCalls

TICK_S = 0.1

log = get_logger(__name__)


class Calls:
    """The service behind `call:*`. Implements `SocketObserver`.

    `member_in` and `member_out` are to be called when somebody comes into a room, or out of it.
    `start` first brings back what an earlier process carried; `close` ends nothing: calls go on
    after a restart.
    """

    def __init__(
        self,
        rooms: Rooms,
        call_log: CallLog,
        rows: OpenCalls,
        ends: EndedCalls,
        *,
        outlet: Outlet,
        tickets: Tickets,
        clock: Clock,
        ids: Ids,
        tasks: TaskOwner,
        limits: CallLimits,
        plane: PacketPlane | None = None,
        node_id: NodeId = NodeId(""),
        relay: CallRelay | None = None,
    ) -> None:
        """`relay`: to the other nodes; `outlet` then reaches rooms and users at all of them."""
        self._rooms = rooms
        self._rows = rows
        self._tickets = tickets
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._limits = limits
        self._plane = plane
        self._node_id = node_id
        self._relay = relay
        self._sockets: set[SocketId] = set()
        core = Switchboard(limits)
        keeping = Keeping(rows, call_log, node_id=node_id, tasks=tasks, lost=core.drop)
        delivery = Delivery(outlet, node_id, None if relay is None else relay.forward)
        self.exchange = Exchange(
            core, clock=clock, delivery=delivery, keeping=keeping, ends=ends, plane=plane,
            offer=self._offer,
        )  # fmt: skip

    # ---- commands --------------------------------------------------------------------------------

    async def start_call(self, ctx: Context, cmd: StartCall) -> Joined:
        await self._tickets.ready()
        room = await self._facts(RoomId(cmd.room_id), ctx.user_id)
        call_id = self._ids.new(self._clock.now_ms())
        return self._joined(ctx, await self._ask(Start(self._by(ctx), room, cmd.media, call_id)))

    async def accept(self, ctx: Context, cmd: AcceptCall) -> Joined:
        await self._tickets.ready()
        room = await self._seen(ctx, cmd.call_id)
        accept = Accept(self._by(ctx), cmd.call_id, room, cmd.take_over)
        return self._joined(ctx, await self._ask(accept))

    async def decline(self, ctx: Context, cmd: OneCall) -> None:
        await self._seen(ctx, cmd.call_id)
        await self._ask(Decline(self._by(ctx), cmd.call_id))

    async def leave(self, ctx: Context, cmd: OneCall) -> None:
        if not self._is_in(ctx, cmd.call_id):
            await self._seen(ctx, cmd.call_id)
        await self._ask(Leave(self._by(ctx), cmd.call_id))

    async def end(self, ctx: Context, cmd: OneCall) -> None:
        room = await self._seen(ctx, cmd.call_id)
        await self._ask(End(self._by(ctx), cmd.call_id, room.role))

    async def signal(self, ctx: Context, cmd: SignalDevice) -> None:
        """Nothing is awaited for a device that is in: signals keep their order."""
        if not self._is_in(ctx, cmd.call_id):
            await self._seen(ctx, cmd.call_id)
        to = DeviceId(cmd.to_device_id)
        await self._ask(Signal(self._by(ctx), cmd.call_id, to, encode(cmd.signal)))

    async def mute(self, ctx: Context, cmd: MuteTrack) -> None:
        if not self._is_in(ctx, cmd.call_id):
            await self._seen(ctx, cmd.call_id)
        await self._ask(Mute(self._by(ctx), cmd.call_id, cmd.track_id, cmd.muted))

    # ---- sockets (SocketObserver) ----------------------------------------------------------------

    async def rooms_of(self, ctx: Context) -> Collection[RoomId]:
        return ()

    def opened(self, ctx: Context) -> None:
        by = self._by(ctx)
        self._sockets.add(by.socket_id)
        self.exchange.handle(SocketUp(by))
        if self._relay is not None:
            self._relay.opened(by)

    def active(self, ctx: Context) -> None:
        """Nothing to do: presence follows this."""

    def closed(self, ctx: Context) -> None:
        self._gone(self._by(ctx))

    def member_in(self, room_id: RoomId, user_id: UserId) -> None:
        """To be called at every node that follows the room; after `room:added`."""
        self.exchange.handle(MemberIn(room_id, user_id))

    def member_out(self, room_id: RoomId, user_id: UserId) -> None:
        """May be called at any node, and more than once."""
        self.exchange.handle(MemberOut(room_id, user_id))
        if self._relay is not None:
            self._relay.member_out(room_id, user_id)

    def device_out(self, user_id: UserId, device_id: DeviceId) -> None:
        """Its last login has ended. To be called at every node."""
        self.exchange.handle(DeviceOut(user_id, device_id))

    # ---- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises Unavailable."""
        if self._relay is not None:
            await self._relay.start(self.exchange)
        else:
            await self._bring_back()
        self._tasks.start(self._run(), "calls")
        if self._plane is not None:
            self._tasks.start(self._listen(self._plane), "plane")

    async def close(self) -> None:
        await self.exchange.keeping.close()

    def snapshot(self) -> Mapping[str, object]:
        """For /metrics."""
        return self.exchange.snapshot()

    # ---- inside ----------------------------------------------------------------------------------

    async def _bring_back(self) -> None:
        """What an earlier process carried, whatever it called itself."""
        for row in await self._rows.all():
            if row.owner != self._node_id:
                await self._rows.take_over(row.id, row.owner, self._node_id)
            if not row.state:  # a node of a cluster died while making it
                await self._rows.drop(row.id)
                continue
            self.exchange.keeping.known(row.id)
            saved = msgspec.json.decode(row.state, type=SavedCall)
            self.exchange.handle(Restore(saved))

    async def _ask(self, command: Command) -> Answered:
        try:
            if self._relay is not None:
                return await self._relay.ask(command)
            return self.exchange.handle(command)
        finally:
            if command.by.socket_id not in self._sockets:  # it closed while the command waited
                self._gone(command.by)

    def _gone(self, by: Caller) -> None:
        self._sockets.discard(by.socket_id)
        self.exchange.handle(SocketDown(by))
        if self._relay is not None:
            self._relay.closed(by)

    def _by(self, ctx: Context) -> Caller:
        return Caller(ctx.user_id, ctx.device_id, ctx.socket_id, self._node_id)

    def _joined(self, ctx: Context, answer: Answered) -> Joined:
        assert answer.call is not None
        return Joined(answer.call, self._tickets.ice_servers(ctx.user_id, self._clock.now_ms()))

    def _is_in(self, ctx: Context, call_id: str) -> bool:
        call = self.exchange.core.call(call_id)
        if call is None and self._relay is not None:
            return self._relay.is_in(call_id, ctx.device_id)
        return call is not None and ctx.device_id in call.devices

    async def _room_of(self, call_id: str) -> RoomId:
        """Raises NotFound."""
        call = self.exchange.core.call(call_id)
        if call is None and self._relay is not None:
            return await self._relay.room_of(call_id)
        call = call or await self.exchange.recall(call_id)
        if call is None:
            raise no_call()
        return call.room_id

    async def _seen(self, ctx: Context, call_id: str) -> RoomFacts:
        """The room of a call, of which strangers are not to know. Raises NotFound, Forbidden."""
        room_id = await self._room_of(call_id)
        try:
            return await self._facts(room_id, ctx.user_id)
        except NotFound:
            raise no_call() from None

    async def _facts(self, room_id: RoomId, user_id: UserId) -> RoomFacts:
        return await self._rooms.facts(room_id, user_id, rings_up_to=self._limits.ring_members)

    def _offer(self, offered: Offered) -> None:
        self._tasks.start(self._show(offered), "calls_shown")

    async def _show(self, offered: Offered) -> None:
        for call_id, room_id in offered.calls:
            try:
                await self._facts(room_id, offered.by.user_id)
            except AppError:  # not his room, or nobody knows now
                continue
            self.exchange.handle(Shown(offered.by, call_id))

    def tick(self) -> None:
        self.exchange.tick()
        if self._relay is not None:
            self._relay.tick()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    async def _listen(self, plane: PacketPlane) -> None:
        while True:
            for report in await plane.reports():
                self.exchange.handle(Reported(report))
