"""Long-polling: GET waits for packets, POST brings them. Requests come through aiohttp.

Source: https://socket.io/docs/v4/engine-io-protocol/, "HTTP long-polling".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from server.hub.engineio.admission import (
    BAD_METHOD,
    BAD_REQUEST,
    SHUTTING_DOWN,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_SID,
    Refusal,
    check_origin,
    check_query,
    parse_query,
)
from server.hub.engineio.api import Handshake
from server.hub.engineio.engine import Engine
from server.hub.engineio.packets import SEPARATOR, Packet, polling_text, split_payload
from server.hub.engineio.socket import Socket
from server.hub.transport.acceptor import Acceptor
from server.hub.transport.doorway import socket_peer
from server.hub.transport.takeover import asks_for_websocket, pass_on, take_over
from server.kernel.peer import TrustedProxies, peer_address

PACKETS_PER_TURN = 100
"""As many as a WebSocket may bring before other connections get their turn."""


class PollingCarrier:
    """The queue of one polling session and the GET that waits for it."""

    __slots__ = ("_bytes", "_closed", "_farewell", "_queue", "_waiter", "poller", "posting")

    name = "polling"
    raw_write: Callable[[bytes], None] | None = None

    def __init__(self) -> None:
        self._queue: deque[Packet] = deque()
        self._bytes = 0
        self._closed = False
        self._farewell = ""
        self._waiter: asyncio.Future[None] | None = None
        self.poller: web.Request | None = None
        self.posting = False

    def send(self, packet: Packet) -> None:
        self._queue.append(packet)
        self._bytes += len(packet)
        self._wake()

    def buffered_bytes(self) -> int:
        return self._bytes

    def take(self) -> Iterable[Packet]:
        packets, self._queue, self._bytes = self._queue, deque(), 0
        return packets

    def release(self, packet: str) -> None:
        self._farewell = packet
        self._wake()

    def close(self, code: int, reason: str, farewell: str) -> None:
        self._closed = True
        self.release(farewell)

    def abort(self) -> None:
        self.close(1006, "", "1")

    def pause(self) -> None:
        """Polling clients bring one bounded POST at a time; there is nothing to hold."""

    def resume(self) -> None:
        pass

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def polled(self) -> bool:
        """A GET of a live connection waits; one whose client has gone away does not count."""
        return self.poller is not None and self.poller.transport is not None

    async def next_payload(self, *, packets: int, size: int) -> str:
        """Wait for something to say. `size` bytes at most, unless one packet is more."""
        if not self._queue and not self._farewell:
            self._wake()  # a poll whose client went away: this one takes its place
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            await waiter
            if self._waiter is not waiter:
                return ""
            self._waiter = None
        texts = self._fill(packets, size)
        if self._farewell and (not texts or self._closed) and len(texts) < packets:
            texts.append(self._farewell)
            self._farewell = ""
        elif not self._closed:
            self._farewell = ""
        return SEPARATOR.join(texts)

    def _fill(self, packets: int, size: int) -> list[str]:
        texts: list[str] = []
        used = 0
        while self._queue and len(texts) < packets:
            text = polling_text(self._queue[0])
            used += len(text.encode()) + 1
            if texts and used > size:
                break
            self._bytes -= len(self._queue.popleft())
            texts.append(text)
        return texts


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Polling:
    """Answers every request to the engine's path that is no WebSocket upgrade."""

    def __init__(
        self,
        engine: Engine,
        *,
        request_body_s: float = 30.0,
        trusted: TrustedProxies | None = None,
        admit: Callable[[str], Refusal | None] | None = None,
        acceptor: Acceptor | None = None,
    ) -> None:
        self._engine = engine
        self._acceptor = acceptor
        self._body_s = request_body_s
        self._trusted = trusted or TrustedProxies(())
        self._admit = admit

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._acceptor is not None and asks_for_websocket(request):
            return take_over(request, self._acceptor)
        headers = {name.lower(): value for name, value in request.headers.items()}
        refused = check_origin(headers, self._engine.options.allowed_origins)
        if refused is not None:
            return _refuse(request, refused)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_cors(request))
        query = parse_query(request.raw_path.partition("?")[2])
        refused = check_query(query, "polling")
        if refused is not None:
            return _refuse(request, refused)
        owner = self._acceptor.owner_elsewhere(query) if self._acceptor is not None else None
        if owner is not None:
            return await self._pass_on(request, owner)
        if "sid" not in query:
            return await self._open(request, query, headers)
        socket = self._engine.find(query["sid"])
        if socket is None:
            return _refuse(request, UNKNOWN_SID)
        carrier = _carrier_of(socket)
        if carrier is None:
            return _refuse(request, BAD_REQUEST)
        if request.method == "GET":
            return await self._poll(request, socket, carrier)
        if request.method == "POST":
            return await self._post(request, socket, carrier)
        return _refuse(request, BAD_METHOD)

    async def _open(
        self, request: web.Request, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> web.StreamResponse:
        if request.method != "GET":
            return _refuse(request, BAD_METHOD)
        real = socket_peer(request.transport) if request.transport is not None else ""
        forwarded = request.headers.getall("X-Forwarded-For", [])
        peer = peer_address(real, forwarded, self._trusted)
        refused = self._admit(peer) if self._admit is not None else None
        if self._engine.draining:
            refused = SHUTTING_DOWN
        if refused is not None:
            return _refuse(request, refused)
        carrier = PollingCarrier()
        self._engine.open(carrier, Handshake(query, headers, peer, "polling"))
        return await self._answer(request, carrier)

    async def _poll(
        self, request: web.Request, socket: Socket, carrier: PollingCarrier
    ) -> web.StreamResponse:
        if carrier.polled:
            socket.fault("duplicate poll")
            return _refuse(request, BAD_REQUEST)
        if socket.upgrading:
            carrier.release("6")
        return await self._answer(request, carrier)

    async def _answer(self, request: web.Request, carrier: PollingCarrier) -> web.StreamResponse:
        options = self._engine.options
        carrier.poller = request
        try:
            text = await carrier.next_payload(
                packets=options.polling_packets, size=options.max_payload
            )
        finally:
            if carrier.poller is request:
                carrier.poller = None
        return web.Response(text=text, headers=_cors(request))

    async def _post(
        self, request: web.Request, socket: Socket, carrier: PollingCarrier
    ) -> web.StreamResponse:
        if carrier.posting:
            socket.fault("duplicate post")
            return _refuse(request, BAD_REQUEST)
        carrier.posting = True
        try:
            body = await self._body(request)
            if isinstance(body, Refusal):
                return _refuse(request, body)
            packets = split_payload(body)
            if packets is None:
                socket.fault("invalid payload")
                return _refuse(request, BAD_REQUEST)
            for number, packet in enumerate(packets, 1):
                socket.received(packet)
                if number % PACKETS_PER_TURN == 0:
                    await asyncio.sleep(0)
        finally:
            carrier.posting = False
        return web.Response(text="ok", headers=_cors(request))

    async def _pass_on(self, request: web.Request, owner: str) -> web.StreamResponse:
        """The session is another worker's: the request goes there as a whole."""
        assert self._acceptor is not None
        body = await self._body(request)
        if isinstance(body, Refusal):
            return _refuse(request, body)
        return pass_on(request, self._acceptor, body=body, owner=owner)

    async def _body(self, request: web.Request) -> bytes | Refusal:
        """Exactly what was sent: all segments, or nothing."""
        limit = self._engine.options.max_payload
        if (request.content_length or 0) > limit:
            return TOO_LARGE
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                while chunk := await request.content.readany():
                    body += chunk
                    if len(body) > limit:
                        return TOO_LARGE
        except TimeoutError:
            return TOO_SLOW
        return bytes(body)


def add_polling(
    app: web.Application,
    engine: Engine,
    *,
    request_body_s: float = 30.0,
    trusted: TrustedProxies | None = None,
    admit: Callable[[str], Refusal | None] | None = None,
    acceptor: Acceptor | None = None,
) -> Polling:
    """Serve long-polling at `engine.options.path` of `app`, with and without the final slash.

    `acceptor` gets the WebSocket upgrades that come on a connection used for HTTP before.
    """
    polling = Polling(
        engine, request_body_s=request_body_s, trusted=trusted, admit=admit, acceptor=acceptor
    )
    path = engine.options.path.rstrip("/")
    app.router.add_route("*", path + "/", polling.handle)
    if path:
        app.router.add_route("*", path, polling.handle)
    return polling


def _carrier_of(socket: Socket) -> PollingCarrier | None:
    carrier = socket.carrier
    return carrier if isinstance(carrier, PollingCarrier) else None


def _refuse(request: web.Request, refusal: Refusal) -> web.Response:
    response = web.Response(
        status=refusal.status,
        body=refusal.body(),
        content_type="application/json",
        headers=_cors(request) if refusal.status != 403 else None,
    )
    if refusal.status in (408, 413):
        response.force_close()
    return response


def _cors(request: web.Request) -> dict[str, str]:
    """The origin was checked before: what got here may read the answer."""
    headers = {"Cache-Control": "no-store"}
    origin = request.headers.get("Origin")
    if origin is not None:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Vary"] = "Origin"
        if request.method == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
            headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization"
            headers["Access-Control-Max-Age"] = "600"
    return headers
