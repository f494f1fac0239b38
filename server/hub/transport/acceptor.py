"""The listening port: reads request heads itself, keeps WebSockets, hands the rest to aiohttp.

A connection that has not sent a whole head costs one small object and no task or timer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from server.hub.engineio.admission import (
    UNKNOWN_SID,
    Refusal,
    check_origin,
    check_query,
    parse_query,
)
from server.hub.engineio.api import Handshake
from server.hub.engineio.deadlines import SharedTimer
from server.hub.engineio.engine import Engine
from server.hub.transport.upgrade import (
    Head,
    accept_response,
    asks_for_websocket,
    check_upgrade,
    read_head,
    refusal_response,
)
from server.hub.transport.websocket import Probe, Sink, WebSocket
from server.kernel.peer import TrustedProxies, peer_address

BACKLOG = 4096
"""Thousands may reconnect in the same second."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """`limits.head_bytes` and `limits.request_head_s`, the latter from accept to the empty line."""

    head_bytes: int = 16_384
    request_head_s: float = 10.0


class Acceptor:
    """Serves one port.

    Args:
        engine: WebSocket upgrades of `engine.options.path` become its sockets; None: see `echo`.
        http: makes aiohttp's protocol for a connection: an AppRunner's `server`.
        echo: in place of an engine: makes the sink of every WebSocket on any path.
        trusted: whose X-Forwarded-For counts.
        admit: asked with the peer's address before a new WebSocket session; a Refusal stops it.
    """

    def __init__(
        self,
        engine: Engine,
        http: Callable[[], asyncio.Protocol] | None,
        *,
        limits: HeadLimits | None = None,
        trusted: TrustedProxies | None = None,
        admit: Callable[[str], Refusal | None] | None = None,
        echo: Callable[[WebSocket], Sink] | None = None,
    ) -> None:
        self.engine = engine
        self.http = http
        self.limits = limits or HeadLimits()
        self.trusted = trusted or TrustedProxies(())
        self.admit = admit
        self.echo = echo
        self.connections: dict[asyncio.BaseProtocol, None] = {}
        self._server: asyncio.Server | None = None
        self._emptied: asyncio.Event | None = None

    @property
    def timer(self) -> SharedTimer:
        return self.engine.timer

    async def listen(self, host: str, port: int) -> int:
        """Bind and serve; port 0 takes a free one. Returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Doorway(self), host, port, backlog=BACKLOG, reuse_address=True
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    async def close(self, reason: str = "shutdown") -> None:
        """Stop listening, say goodbye to all sockets, wait at most `close_timeout_s`, then drop."""
        self.stop_listening()
        self.engine.close_all(reason)
        for protocol in tuple(self.connections):
            if isinstance(protocol, Doorway):
                protocol.drop()
            elif isinstance(protocol, WebSocket):
                protocol.close(1001, reason)
        if self.connections:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.engine.options.close_timeout_s):
                    await self._emptied.wait()
        for protocol in tuple(self.connections):
            if isinstance(protocol, WebSocket):
                protocol.abort()
        await asyncio.sleep(0)
        self.timer.stop()

    def forget(self, protocol: asyncio.BaseProtocol) -> None:
        self.connections.pop(protocol, None)
        if self._emptied is not None and not self.connections:
            self._emptied.set()


class Doorway(asyncio.Protocol):
    """A connection until its first request head is complete."""

    __slots__ = ("_acceptor", "_die_at", "_refused", "_seen", "_transport", "scheduled")

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor
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
        if head is not None and asks_for_websocket(head) and self._is_ours(head):
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
        return head.path.rstrip("/") == acceptor.engine.options.path.rstrip("/")

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
            return Refusal(3, "Shutting down", 503)
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
