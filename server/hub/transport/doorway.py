"""A connection until its first request head is complete, and where it goes then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from server.hub.engineio.admission import (
    SHUTTING_DOWN,
    UNKNOWN_SID,
    Refusal,
    check_origin,
    check_query,
    parse_query,
)
from server.hub.engineio.api import Handshake
from server.hub.transport.upgrade import (
    Head,
    accept_response,
    asks_for_websocket,
    check_upgrade,
    read_head,
    refusal_response,
)
from server.hub.transport.websocket import Probe, WebSocket
from server.kernel.peer import peer_address

if TYPE_CHECKING:
    from server.hub.transport.acceptor import Acceptor


class Doorway(asyncio.Protocol):
    """See the module: one small object, on the acceptor's timer."""

    __slots__ = (
        "_acceptor",
        "_die_at",
        "_first",
        "_owner",
        "_refused",
        "_seen",
        "_transport",
        "scheduled",
    )

    def __init__(self, acceptor: Acceptor, *, first: bytes = b"", owner: str | None = None) -> None:
        """`first`: what was read already. `owner`: the worker whose session the request is."""
        self._acceptor = acceptor
        self._first = first
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._seen = b""
        self._refused = False
        self._die_at: float | None = None
        self.scheduled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        acceptor = self._acceptor
        acceptor.connections[self] = None
        self._die_at = acceptor.timer.time() + acceptor.limits.request_head_s
        acceptor.timer.watch(self)
        first, self._first = self._first, b""
        if first:
            self.data_received(first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def next_deadline(self) -> float | None:
        return self._die_at

    def tick(self, now: float) -> None:
        self.drop()

    def drop(self) -> None:
        transport = self._transport
        self._leave()
        if transport is not None:
            transport.abort()

    def _leave(self) -> None:
        self._acceptor.forget(self)
        self._transport = None
        self._die_at = None
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._refused:
            return
        seen = self._seen = self._seen + data if self._seen else data
        end = seen.find(b"\r\n\r\n", max(0, len(seen) - len(data) - 3))
        if end > self._acceptor.limits.head_bytes or (
            end < 0 and len(seen) > self._acceptor.limits.head_bytes
        ):
            self._refuse(431, b"")
        elif end >= 0:
            self._route(seen, end)

    def _route(self, seen: bytes, end: int) -> None:
        """To a WebSocket, or to aiohttp with all bytes so far (which judges malformed heads)."""
        acceptor = self._acceptor
        head = read_head(seen[:end]) if b"pgrade" in seen or b"PGRADE" in seen else None
        owner = self._owner or self._named_owner(seen)
        if owner is not None:
            self._pass_on(owner, seen)
        elif head is not None and asks_for_websocket(head) and self._is_ours(head):
            self._upgrade(head, seen[end + 4 :])
        elif acceptor.http is None:
            self._refuse(404, b"")
        else:
            transport, protocol = self._transport, acceptor.http()
            assert transport is not None
            self._leave()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(seen)

    def _is_ours(self, head: Head) -> bool:
        acceptor = self._acceptor
        if acceptor.echo is not None:
            return True
        return acceptor.serves_sockets and acceptor.is_engine_path(head.path)

    def _named_owner(self, seen: bytes) -> str | None:
        """The worker that has the session which the request line names, if it is another one."""
        acceptor = self._acceptor
        if acceptor.handover is None:
            return None
        target = seen[: seen.find(b"\r\n")].decode("latin-1").split(" ")[1:2]
        path, _, query = target[0].partition("?") if target else ("", "", "")
        if not query or not acceptor.is_engine_path(path):
            return None
        return acceptor.owner_elsewhere(parse_query(query))

    def _pass_on(self, owner: str, seen: bytes) -> None:
        transport, handover = self._transport, self._acceptor.handover
        assert transport is not None
        if handover is not None and handover.give(owner, transport, seen):
            self._leave()
        else:
            refusal = SHUTTING_DOWN if self._acceptor.engine.draining else UNKNOWN_SID
            self._refuse(refusal.status, refusal.body())

    def _upgrade(self, head: Head, rest: bytes) -> None:
        fault = check_upgrade(head)
        if fault is not None:
            self._refuse(fault[0], fault[1].encode(), "text/plain")
            return
        if self._acceptor.echo is not None:
            websocket = self._accept(head)
            websocket.attach(self._acceptor.echo(websocket))
        else:
            opened = self._join(head)
            if isinstance(opened, Refusal):
                self._refuse(opened.status, opened.body())
                return
            websocket = opened
        if rest:
            websocket.data_received(rest)

    def _join(self, head: Head) -> WebSocket | Refusal:
        """Open a session, or probe an existing one."""
        engine = self._acceptor.engine
        query = parse_query(head.query)
        refused = check_query(query, "websocket") or check_origin(
            head.headers, engine.options.allowed_origins
        )
        if refused is not None:
            return refused
        if "sid" in query:
            return self._probe(head, query["sid"])
        peer = self._peer(head)
        if self._acceptor.admit is not None:
            refused = self._acceptor.admit(peer)
            if refused is not None:
                return refused
        if engine.draining:
            return SHUTTING_DOWN
        websocket = self._accept(head)
        websocket.attach(engine.open(websocket, Handshake(query, head.headers, peer, "websocket")))
        return websocket

    def _probe(self, head: Head, sid: str) -> WebSocket | Refusal:
        """A duplicate WebSocket is accepted and closed at once; its session goes on."""
        engine = self._acceptor.engine
        socket = engine.find(sid)
        if socket is None:
            return UNKNOWN_SID
        websocket = self._accept(head)
        if socket.offer_probe(websocket):
            websocket.attach(Probe(socket, websocket))
            websocket.limit(engine.options.upgrade_timeout_s)
        else:
            websocket.close(1000, "session has a WebSocket")
        return websocket

    def _accept(self, head: Head) -> WebSocket:
        acceptor, transport = self._acceptor, self._transport
        assert transport is not None
        self._leave()
        options = acceptor.engine.options
        websocket = WebSocket(
            transport,
            acceptor.timer,
            max_size=options.max_payload,
            close_timeout_s=options.close_timeout_s,
            forget=acceptor.forget,
        )
        acceptor.connections[websocket] = None
        transport.set_protocol(websocket)
        transport.write(accept_response(head))
        return websocket

    def _peer(self, head: Head) -> str:
        assert self._transport is not None
        address = socket_peer(self._transport)
        forwarded = head.headers.get("x-forwarded-for")
        return peer_address(address, (forwarded,) if forwarded else (), self._acceptor.trusted)

    def _refuse(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        transport = self._transport
        assert transport is not None
        self._seen = b""
        self._refused = True
        self._die_at = self._acceptor.timer.time() + self._acceptor.engine.options.close_timeout_s
        self._acceptor.timer.watch(self)
        transport.write(refusal_response(status, body, content_type))
        if transport.can_write_eof():
            transport.write_eof()


def socket_peer(transport: asyncio.BaseTransport) -> str:
    """The real other end: an IP address, or "" for a Unix socket."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""
