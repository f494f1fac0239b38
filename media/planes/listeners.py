"""Ports of TURN's own: UDP, TCP and TLS. The shared media port asks `TurnPlane.port` itself."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from typing import cast

from media.planes.datagrams import DatagramSocket, bind_datagram
from media.planes.tls import ServerTls
from media.planes.turn import TurnPlane, TurnPort
from media.wire.addresses import Address, owner_of
from media.wire.framing import Stream, padded

WAITING_BYTES = 256 * 1024
"""Unsent bytes of a connection; past it packets are dropped: late sound is worth nothing."""
IDLE_S = 10.0
"""A connection without an allocation lives this long, its TLS handshake included."""
CONNECTIONS = 4_000
CONNECTIONS_PER_HOST = 100
"""Of those that have no allocation. The others are a matter of their users' quotas: a whole
company may be behind one address and a firewall that lets no UDP through.
"""


def listen_datagrams(plane: TurnPlane, host: str, port: int) -> DatagramSocket:
    """Raises OSError when the address cannot be had."""
    loop = asyncio.get_running_loop()
    listener = DatagramSocket(bind_datagram(host, port), loop=loop, drops=plane.drops)
    listener.read(plane.port(listener.send).datagram)
    return listener


class StreamListener:
    """Accepts TURN over TCP, or over TLS with a context. `await open`, then `close`."""

    def __init__(
        self,
        plane: TurnPlane,
        *,
        context: ssl.SSLContext | None = None,
        connections: int = CONNECTIONS,
        per_host: int = CONNECTIONS_PER_HOST,
        idle_s: float = IDLE_S,
    ) -> None:
        self.plane = plane
        self.context = context
        self.idle_s = idle_s
        self._connections = connections
        self._per_host = per_host
        self._server: asyncio.Server | None = None
        self._open: set[StreamClient] = set()
        self._hosts: Counter[str] = Counter()

    @property
    def address(self) -> Address:
        assert self._server is not None
        name: Address = self._server.sockets[0].getsockname()
        return name

    async def open(self, host: str, port: int) -> None:
        """Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: StreamClient(self), host, port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in tuple(self._open):
                client.abort()
            await self._server.wait_closed()

    def admits(self, client: StreamClient, host: str) -> bool:
        owner = owner_of(host)
        if len(self._open) >= self._connections or self._hosts[owner] >= self._per_host:
            self.plane.drops["connections"] += 1
            return False
        self._open.add(client)
        self._hosts[owner] += 1
        return True

    def left(self, client: StreamClient) -> None:
        self._open.discard(client)

    def uncount(self, host: str) -> None:
        """One connection less without an allocation."""
        owner = owner_of(host)
        self._hosts[owner] -= 1
        if not self._hosts[owner]:
            del self._hosts[owner]


class StreamClient(asyncio.Protocol):
    """One connection: messages out of its bytes, and padding on the way back."""

    def __init__(self, listener: StreamListener) -> None:
        self._listener = listener
        self._tls = ServerTls(listener.context) if listener.context is not None else None
        self._stream = Stream()
        self._turn: TurnPort | None = None
        self._address: Address = ("", 0)
        self._idle: asyncio.TimerHandle | None = None
        self._counts = False
        """For its host."""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # A connection that was reset at once has no peer's name.
        name = transport.get_extra_info("peername")
        if name is None or not self._listener.admits(self, name[0]):
            self._transport.abort()
            return
        self._address = name
        self._counts = True
        self._turn = self._listener.plane.port(self._send)
        self._turn.opened(name)
        self._watch()

    def data_received(self, data: bytes) -> None:
        clear = self._open(data)
        if clear is not None and self._turn is not None:
            self._feed(self._turn, clear)

    def connection_lost(self, error: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._turn is not None:
            self._turn.closed(self._address)
            self._turn = None
            self._listener.left(self)
            self._uncount()

    def abort(self) -> None:
        self._transport.abort()

    def _open(self, data: bytes) -> bytes | None:
        """What came, in clear; None: nothing, and the connection ends."""
        if self._tls is None:
            return data
        clear = self._tls.feed(data)
        outgoing = self._tls.outgoing()
        if outgoing:
            self._transport.write(outgoing)
        if clear is None:
            # What went wrong is told to the other end (a TLS alert) before the connection ends.
            self._listener.plane.drops["tls_ended"] += 1
            self._transport.close()
        return clear

    def _feed(self, turn: TurnPort, data: bytes) -> None:
        messages = self._stream.feed(data)
        if messages is None:
            self._listener.plane.drops["stream_noise"] += 1
            self.abort()
            return
        for message in messages:
            turn.datagram(message, self._address)
        if self._counts and turn.holds(self._address):
            self._uncount()

    def _uncount(self) -> None:
        if self._counts:
            self._counts = False
            self._listener.uncount(self._address[0])

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport.get_write_buffer_size() > WAITING_BYTES:
            self._listener.plane.drops["stream_full"] += 1
            return
        message = padded(data)
        if self._tls is None:
            self._transport.write(message)
        elif self._tls.seal(message):
            self._transport.write(self._tls.outgoing())
        else:
            self.abort()

    def _watch(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(self._listener.idle_s, self._look)

    def _look(self) -> None:
        if self._turn is not None and not self._turn.holds(self._address):
            self._listener.plane.drops["idle_connection"] += 1
            self.abort()
        else:
            self._watch()
