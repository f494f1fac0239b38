"""python-socketio's Socket.IO layer over the hub's own engine.

`HubServer` is an AsyncServer whose engine is ours. Where a `Contract` is mounted, the namespace `/`
belongs to it and python-socketio sees nothing of it; without one (outside test suites) handlers are
registered as with any AsyncServer. Either way a packet is checked before it is decoded further.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import socketio
from socketio import packet as sio_packet

from server.hub.contract import Contract
from server.hub.driven import drive
from server.hub.engineio.api import Handshake, Options
from server.hub.engineio.engine import Engine
from server.hub.engineio.socket import Socket
from server.hub.metrics import HubMetrics
from server.hub.outbox import Outbox, Packet
from server.hub.payload import (
    MAX_ATTACHMENT_BYTES,
    MAX_ATTACHMENTS,
    RESERVED,
    BadPacket,
    Header,
    read_header,
)
from server.hub.session import LOG_EVERY_S, Session, State
from server.hub.sioengine import EngineAdapter
from server.hub.siopacket import HubPacket
from server.kernel.clock import Clock, System
from server.kernel.errors import Invalid
from server.kernel.json import decode_strict
from server.kernel.limits import Buckets
from server.kernel.logs import get_logger
from server.kernel.peer import limit_key

log = get_logger(__name__)

QUEUE_MAX = 64
"""Packets of one socket that wait for a handler; from half of it on the socket is not read."""


SLOW_S = 4.0
"""How long a socket may leave answers unread while more of its packets wait."""


class Pending:
    """What python-socketio's side keeps of one socket: packets to come, attachments so far."""

    __slots__ = ("binary", "bytes", "give_up", "namespaces", "packets", "running")

    def __init__(self) -> None:
        self.packets: deque[tuple[str, sio_packet.Packet]] = deque()
        self.running = False
        self.binary: sio_packet.Packet | None = None
        self.bytes = 0
        self.give_up: asyncio.TimerHandle | None = None
        self.namespaces: set[str] = set()
        """Those it was ever connected to: late packets for one it left are ignored."""


class HubManager(socketio.AsyncManager):  # type: ignore[misc]
    """Emits to many without a task for each: one encoding, written to every outbox."""

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        packet = self.server.packet_class(
            sio_packet.EVENT, namespace=namespace, data=[event, *arguments]
        )
        if callback is not None or packet.packet_type == sio_packet.BINARY_EVENT:
            await super().emit(
                event, data, namespace, room=to or room, skip_sid=skip_sid, callback=callback
            )
            return
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        shared = Packet(packet.encode().encode())
        for sid, eio_sid in list(self.get_participants(namespace, to or room)):
            if sid not in skipped:
                self.server.eio.write(eio_sid, shared)


class HubServer(socketio.AsyncServer):  # type: ignore[misc]
    """The engine's Handlers. Made inside the event loop.

    Args:
        contract: the wire contract's dispatch for `/`; None: python-socketio has all namespaces.
        gone: told when a socket is gone, before anybody else.
        accepts: namespaces besides those that have handlers.
        binary: events may carry attachments.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        outbox: Outbox | None = None,
        metrics: HubMetrics | None = None,
        clock: Clock | None = None,
        contract: Contract | None = None,
        gone: Callable[[Session, str], None] | None = None,
        accepts: tuple[str, ...] = ("/",),
        binary: bool = True,
        outbox_bytes: int = 1_048_576,
    ) -> None:
        self.metrics = metrics or HubMetrics()
        self._engine = Engine(self, options)
        self._outbox = outbox or Outbox(outbox_bytes, self._cut, self.metrics)
        super().__init__(
            client_manager=HubManager(),
            serializer=HubPacket,
            async_handlers=False,
            namespaces=list(accepts),
        )
        self._clock = clock or System()
        self._noise = Buckets(1 / LOG_EVERY_S, 1, max_keys=10_000)
        self._contract = contract
        self._gone = gone
        self._binary = binary
        self._pending: dict[str, Pending] = {}

    def _engineio_server_class(self) -> Callable[..., EngineAdapter]:
        return lambda **_: EngineAdapter(self._engine, self._outbox)

    @property
    def pending_binary(self) -> int:
        """Bytes of attachments whose event is not complete."""
        return sum(one.bytes for one in self._pending.values())

    # ---- the engine's Handlers -------------------------------------------------------------------

    def on_open(self, socket: Socket, request: Handshake) -> None:
        socket.user = Session(socket)
        if self._contract is None:
            self._pending[socket.sid] = Pending()
            self.environ[socket.sid] = {"REMOTE_ADDR": request.peer}

    def on_message(self, socket: Socket, data: str | bytes) -> None:
        session: Session = socket.user
        try:
            if self._contract is None:
                self._general(socket, data)
            elif isinstance(data, str):
                self._contract.text(session, data)
            else:
                self._contract.binary(session, data)
        except BadPacket as bad:
            self._bad(session, str(bad))

    def on_close(self, socket: Socket, reason: str) -> None:
        session: Session = socket.user
        if self._gone is not None:
            self._gone(session, reason)
        session.state = State.ENDED
        pending = self._pending.pop(socket.sid, None)
        if pending is not None:
            if pending.give_up is not None:
                pending.give_up.cancel()
            self.eio.start_background_task(self._handle_eio_disconnect, socket.sid, reason)

    def on_drain(self, socket: Socket) -> None:
        pending = self._pending.get(socket.sid)
        if pending is not None and not pending.running:
            self._next(socket, pending)

    # ---- bad packets and slow sockets ------------------------------------------------------------

    def _bad(self, session: Session, reason: str) -> None:
        """A client's rubbish ends its socket and costs at most a line a second for its address."""
        self.metrics.bad_packets += 1
        if not self._noise.take(limit_key(session.socket.peer), self._clock.monotonic()):
            log.info("packet.refused", reason=reason, socket_id=session.socket_id)
        session.socket.close(1002, "bad packet")

    def _cut(self, session: Session) -> None:
        session.socket.send('2["session:ended",{"reason":"slow"}]')
        session.socket.close(1008, "slow")

    # ---- python-socketio's side ------------------------------------------------------------------

    def _general(self, socket: Socket, data: str | bytes) -> None:
        pending = self._pending[socket.sid]
        if isinstance(data, str):
            if pending.binary is not None:
                raise BadPacket("an attachment was announced")
            self._packet(socket, pending, data)
        else:
            self._attachment(socket, pending, data)

    def _packet(self, socket: Socket, pending: Pending, text: str) -> None:
        header = read_header(text)
        kind = int(header.kind)
        values = self._values(header, text)
        packet = self.packet_class(
            kind, data=values, namespace=header.namespace,
            id=int(header.ack) if header.ack else None, binary=False,
        )  # fmt: skip
        if kind not in (sio_packet.BINARY_EVENT, sio_packet.BINARY_ACK):
            self._queue(socket, pending, packet)
            return
        if not self._binary or header.attachments > MAX_ATTACHMENTS:
            raise BadPacket("too many attachments")
        packet.attachment_count = header.attachments
        if header.attachments:
            pending.binary, pending.bytes = packet, 0
        else:
            self._queue(socket, pending, packet)

    def _values(self, header: Header, text: str) -> Any:
        """The checked JSON of a packet. Raises BadPacket: nothing like it may be relayed."""
        body = text[header.body :]
        if header.kind == "4":
            raise BadPacket("CONNECT_ERROR from a client")
        try:
            if header.kind in "56":
                values = _without_placeholders(body)
            else:
                values = decode_strict(body) if body else None
        except Invalid as refusal:
            raise BadPacket(refusal.text) from None
        if header.kind in "25" and not _is_event(values):
            raise BadPacket("no event")
        if header.kind in "36" and not isinstance(values, list):
            raise BadPacket("no acknowledgement")
        if header.kind == "0" and values is not None and not isinstance(values, dict):
            raise BadPacket("CONNECT payload")
        return values

    def _attachment(self, socket: Socket, pending: Pending, data: bytes) -> None:
        packet = pending.binary
        if packet is None:
            raise BadPacket("unexpected attachment")
        pending.bytes += len(data)
        if pending.bytes > MAX_ATTACHMENT_BYTES:
            raise BadPacket("attachments too large")
        try:
            complete = packet.add_attachment(data)
        except (IndexError, TypeError, ValueError):
            raise BadPacket("malformed placeholder") from None
        if complete:
            pending.binary, pending.bytes = None, 0
            self._queue(socket, pending, packet)

    def _queue(self, socket: Socket, pending: Pending, packet: sio_packet.Packet) -> None:
        pending.packets.append((socket.sid, packet))
        if len(pending.packets) > QUEUE_MAX:
            raise BadPacket("too many packets wait")
        if not pending.running:
            self._next(socket, pending)
        if len(pending.packets) > QUEUE_MAX // 2 or (pending.packets and socket.congested):
            self._hold(socket, pending)

    def _hold(self, socket: Socket, pending: Pending) -> None:
        """Who does not read answers is not read either; if that lasts, he is out."""
        socket.pause()
        if pending.give_up is None:
            loop = asyncio.get_running_loop()
            pending.give_up = loop.call_later(SLOW_S, self._give_up, socket, pending)

    def _give_up(self, socket: Socket, pending: Pending) -> None:
        pending.give_up = None
        if socket.closed:
            return
        if socket.congested:
            self.metrics.slow_closed += 1
            self._cut(socket.user)
        elif pending.packets:
            self._hold(socket, pending)
        else:
            socket.resume()

    def _next(self, socket: Socket, pending: Pending) -> None:
        """Handle packets in order; the first one that waits for something stops the row, and so
        does a socket that has not taken the answers so far.
        """
        loop = asyncio.get_running_loop()
        looping = True

        def done(result: Any, failed: BaseException | None) -> None:
            pending.running = False
            if failed is not None:
                self._failed(socket, failed)
            if not looping:
                self._next(socket, pending)

        while pending.packets and not (pending.running or socket.closed or socket.congested):
            pending.running = True
            drive(self._handle(*pending.packets.popleft()), done, loop)
        looping = False
        if pending.give_up is not None and not pending.packets:
            pending.give_up.cancel()
            pending.give_up = None
            socket.resume()

    async def _handle(self, eio_sid: str, packet: sio_packet.Packet) -> None:
        namespace, kind, data = packet.namespace, packet.packet_type, packet.data
        if kind == sio_packet.CONNECT:
            await self._handle_connect(eio_sid, namespace, data)
        elif self.manager.sid_from_eio_sid(eio_sid, namespace) is None:
            if kind != sio_packet.DISCONNECT and not self._was_connected(eio_sid, namespace):
                self._bad(self._engine.sockets[eio_sid].user, "not connected")
        elif kind == sio_packet.DISCONNECT:
            await self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif kind in (sio_packet.EVENT, sio_packet.BINARY_EVENT):
            if data[0] not in RESERVED:
                await self._handle_event(eio_sid, namespace, packet.id, data)
        else:
            await self._handle_ack(eio_sid, namespace, packet.id, data)

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        known = namespace in self.handlers or namespace in self.namespaces
        if not known:
            refusal = self.packet_class(
                sio_packet.CONNECT_ERROR, data={"message": "Invalid namespace"},
                namespace=namespace,
            )  # fmt: skip
            await self._send_packet(eio_sid, refusal)
            return
        await super()._handle_connect(eio_sid, namespace, data)
        socket = self._engine.find(eio_sid)
        if socket is not None and self.manager.sid_from_eio_sid(eio_sid, namespace):
            socket.user.state = State.LIVE
            self._pending[eio_sid].namespaces.add(namespace)
            socket.admit()

    def _was_connected(self, eio_sid: str, namespace: str) -> bool:
        pending = self._pending.get(eio_sid)
        return pending is None or namespace in pending.namespaces

    def _failed(self, socket: Socket, fault: BaseException) -> None:
        session: Session = socket.user
        self.metrics.internal_errors += 1
        if session.may_log(self._clock.monotonic()):
            log.error("handler.failed", exc_info=fault)


def _is_event(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and isinstance(values[0], str)


def _without_placeholders(body: str) -> Any:
    """Binary packets hold `_placeholder` by their nature: the rest is checked with another name."""
    values = decode_strict(body.replace('"_placeholder"', '" placeholder"'))
    return _restore(values)


def _restore(value: Any) -> Any:
    if isinstance(value, list):
        return [_restore(member) for member in value]
    if isinstance(value, dict):
        return {
            ("_placeholder" if key == " placeholder" else key): _restore(member)
            for key, member in value.items()
        }
    return value
