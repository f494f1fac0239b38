"""Calls in a cluster: each is carried by one node, and commands of its devices find that node.

The node where a call was started carries it: its row in the store, of which a room has one, says
so. When that node dies another takes the rows over; devices at living nodes notice nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from server.kernel.clock import Clock
from server.kernel.errors import AppError, NotFound, Unavailable
from server.kernel.ids import DeviceId, NodeId, RoomId, SocketId, UserId
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from signaling import frames
from signaling.exchange import Exchange
from signaling.frames import EVERYBODY, Ask, Deliver, Gone, Probe, Reply, Sockets
from signaling.inputs import (
    Caller,
    Command,
    MemberOut,
    NodesLeft,
    Restore,
    SocketDown,
    SocketUp,
    Start,
)
from signaling.outputs import Answered, At
from signaling.rules import no_call
from signaling.views import SavedCall
from storage.api import CallRow, Fanout, OpenCalls

ANSWER_S = 2.0
PROBE_S = 5.0
"""A socket whose end was not heard is found gone after this long."""
ATTEMPTS = 20
AGAIN_S = 0.05
ROUTES = 20_000
WAITING = 10_000

log = get_logger(__name__)


@dataclass(slots=True)
class Route:
    """Where a call is carried. `devices`: those of ours that are in, as far as we know."""

    owner: NodeId
    room_id: RoomId
    devices: set[DeviceId] = field(default_factory=set)


class CallRelay:
    """See the module. `port`: a port of the node's fan-out; `hub`: this node's own sockets."""

    def __init__(
        self,
        port: Fanout,
        rows: OpenCalls,
        *,
        node_id: NodeId,
        alive: Callable[[], Collection[NodeId]],
        hub: Outlet,
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        self._port = port
        self._rows = rows
        self._node_id = node_id
        self._alive = alive
        self._hub = hub
        self._clock = clock
        self._tasks = tasks
        self._exchange: Exchange
        self._number = 0
        self._asked: dict[int, asyncio.Future[Answered]] = {}
        self._routes: dict[str, Route] = {}
        self._open: dict[SocketId, Caller] = {}
        self._probe_at = 0.0
        port.listen(self._heard, self._restored)

    async def start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        await self._port.subscribe([self._node_id, EVERYBODY])
        self.nodes_changed(tuple(self._alive()))

    # ---- commands --------------------------------------------------------------------------------

    async def ask(self, command: Command) -> Answered:
        """Carry it out wherever the call is. Raises AppError."""
        if isinstance(command, Start):
            return await self._start(command)
        remembered = command.call_id in self._routes
        owner = await self._owner(command.call_id)
        if owner == self._node_id:
            return self._exchange.handle(command)
        try:
            return await self._send(owner, command)
        except NotFound:
            self._routes.pop(command.call_id, None)
            if not remembered:
                raise
        return await self.ask(command)  # another node may have it by now

    async def room_of(self, call_id: str) -> RoomId:
        """Raises NotFound."""
        await self._owner(call_id)
        call = self._exchange.core.call(call_id)
        return self._routes[call_id].room_id if call is None else call.room_id

    def is_in(self, call_id: str, device_id: DeviceId) -> bool:
        route = self._routes.get(call_id)
        return route is not None and device_id in route.devices

    async def _start(self, cmd: Start) -> Answered:
        """Whoever has the room's row carries its call; of two starts at once one gets it."""
        row = CallRow(cmd.call_id, cmd.room.room_id, self._node_id, True, "")
        for _ in range(ATTEMPTS):
            if self._exchange.core.running(row.room_id) is not None:
                return self._exchange.handle(cmd)
            found = await self._rows.claim(row)
            if found.id == row.id:
                return await self._start_here(cmd)
            if found.owner == self._node_id:
                await asyncio.sleep(AGAIN_S)  # it has just ended, or is just being made
            elif found.owner in self._alive():
                self._learn(found)
                return await self._send(found.owner, cmd)
            else:
                await self._adopt(found)
        raise _busy()

    async def _start_here(self, cmd: Start) -> Answered:
        self._exchange.keeping.known(cmd.call_id)
        try:
            return self._exchange.handle(cmd)
        finally:
            if self._exchange.core.call(cmd.call_id) is None:  # refused
                await self._rows.drop(cmd.call_id)

    async def _send(self, owner: NodeId, command: Command) -> Answered:
        """Published before anything is awaited: commands of a socket keep their order."""
        if len(self._asked) >= WAITING:
            raise _busy()
        self._number += 1
        number = self._number
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self._port.publish(owner, frames.pack(Ask(number, self._node_id, command)))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await future
            self._note_joined(answer, command.by.device_id)
            return answer
        except TimeoutError:
            self._routes.pop(getattr(command, "call_id", ""), None)
            raise _busy() from None
        finally:
            del self._asked[number]

    def _note_joined(self, answer: Answered, device_id: DeviceId) -> None:
        if answer.call is None or answer.call.id not in self._routes:
            return
        if device_id in {each.device_id for each in answer.call.participants}:
            self._routes[answer.call.id].devices.add(device_id)

    # ---- sockets and members ---------------------------------------------------------------------

    def opened(self, by: Caller) -> None:
        self._open[by.socket_id] = by
        self._tell(EVERYBODY, Sockets([], [by]))

    def closed(self, by: Caller) -> None:
        self._open.pop(by.socket_id, None)
        self._tell(EVERYBODY, Sockets([by], []))

    def member_out(self, room_id: RoomId, user_id: UserId) -> None:
        self._tell(EVERYBODY, Gone(room_id, user_id))

    def forward(self, at: At, name: str, payload: bytes) -> None:
        """To a socket of another node (`signaling.delivery`)."""
        self._tell(at.node_id, Deliver(at.socket_id, name, payload))

    def tick(self) -> None:
        """Ask for the sockets that our calls count on."""
        now = self._clock.monotonic()
        if now < self._probe_at:
            return
        self._probe_at = now + PROBE_S
        for node_id, callers in self._exchange.core.present().items():
            if node_id != self._node_id:
                self._tell(node_id, Probe(self._node_id, callers))
                continue
            # Of a call of a dead node: its last word may be from before a socket of ours closed.
            for by in self._lost(callers):
                self._exchange.handle(SocketDown(by))

    def _lost(self, callers: Collection[Caller]) -> list[Caller]:
        return [by for by in callers if by.socket_id not in self._open]

    # ---- nodes -----------------------------------------------------------------------------------

    def nodes_changed(self, alive: Collection[NodeId]) -> None:
        """Sockets of dead nodes are gone; one of us takes their calls over."""
        for call_id in [c for c, route in self._routes.items() if route.owner not in alive]:
            del self._routes[call_id]
        self._exchange.handle(NodesLeft(tuple(alive)))
        self._tasks.start(self._inherit(tuple(alive)), "calls_inherited")

    async def _inherit(self, alive: tuple[NodeId, ...]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                for row in await self._rows.all():
                    if row.owner not in alive and heir_of(row.id, alive) == self._node_id:
                        await self._adopt(row)
                return
            except Unavailable:
                await asyncio.sleep(AGAIN_S * 2 ** min(attempt, 7))

    async def _adopt(self, row: CallRow) -> None:
        """Of several who try one gets it."""
        taken = await self._rows.take_over(row.id, row.owner, self._node_id)
        if taken is None:
            return
        if not taken.state:  # its node died while making it: nobody has heard of it
            await self._rows.drop(row.id)
            return
        log.info("call.adopted", call_id=row.id, dead=row.owner)
        self._exchange.keeping.known(row.id)
        self._routes.pop(row.id, None)
        saved = msgspec.json.decode(taken.state, type=SavedCall)
        self._exchange.handle(Restore(saved, frozenset(self._alive())))

    async def _owner(self, call_id: str) -> NodeId:
        """Ourselves, where the call is over. Raises NotFound."""
        if self._exchange.core.call(call_id) is not None:
            return self._node_id
        route = self._routes.get(call_id)
        if route is not None:
            return route.owner
        row = await self._rows.get(call_id)
        if row is not None and row.owner not in self._alive():
            await self._adopt(row)
            row = await self._rows.get(call_id)
        if row is None and await self._exchange.recall(call_id) is not None:
            return self._node_id
        if row is None:
            raise no_call()
        self._learn(row)
        return row.owner

    def _learn(self, row: CallRow) -> None:
        if row.id not in self._routes:
            self._routes[row.id] = Route(row.owner, row.room_id)
            if len(self._routes) > ROUTES:
                del self._routes[next(iter(self._routes))]

    # ---- frames ----------------------------------------------------------------------------------

    def _tell(self, channel: str, frame: frames.Frame) -> None:
        self._port.publish(channel, frames.pack(frame))

    def _restored(self) -> None:
        """Ends of sockets may have been lost: ask now."""
        self._probe_at = 0.0

    def _heard(self, channel: str, data: bytes) -> None:
        try:
            frame = frames.read(data)
        except msgspec.DecodeError:
            log.warning("frame.unknown", channel=channel)
            return
        match frame:
            case Ask():
                self._tasks.start(self._carry_out(frame), "call_command")
            case Reply():
                self._replied(frame)
            case Deliver(socket_id, name, payload):
                self._hub.to_socket(socket_id, name, msgspec.Raw(payload))
            case Sockets(downs, ups):
                for by in downs:
                    self._exchange.handle(SocketDown(by))
                for by in ups:
                    self._exchange.handle(SocketUp(by))
            case Probe(node_id, callers):
                lost = self._lost(callers)
                if lost:
                    self._tell(node_id, Sockets(lost, []))
            case Gone(room_id, user_id):
                self._exchange.handle(MemberOut(room_id, user_id))

    async def _carry_out(self, asked: Ask) -> None:
        try:
            if isinstance(asked.command, Start):
                answer = await self._start(asked.command)
            else:
                answer = self._exchange.handle(asked.command)
        except AppError as error:
            self._tell(asked.node_id, frames.refusal_reply(asked.number, error))
            return
        self._tell(asked.node_id, Reply(asked.number, answer.call))

    def _replied(self, reply: Reply) -> None:
        future = self._asked.get(reply.number)
        if future is None or future.done():
            return
        if reply.call is not None:  # older states are not to wait for companions, behind the answer
            self._hub.flush(reply.call.room_id)
        try:
            future.set_result(frames.answer_of(reply))
        except AppError as error:
            future.set_exception(error)


def heir_of(call_id: str, alive: Collection[NodeId]) -> NodeId | None:
    """Whoever has the highest hash of node and call: the calls of a dead node are spread."""

    def weight(node_id: NodeId) -> bytes:
        return hashlib.blake2b(f"{node_id}\0{call_id}".encode(), digest_size=8).digest()

    return max(alive, key=weight, default=None)


def _busy() -> AppError:
    text = "The node that carries this call does not answer. Try again."
    return Unavailable(text, retry_after_s=1.0)
