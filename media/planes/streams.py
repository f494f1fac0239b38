"""The TCP port: passive ICE-TCP (RFC 6544), and TURN for whoever speaks that, in clear or in TLS.

A connection says what it is by a TLS handshake's first byte, or by where STUN's magic cookie stands
in its first ten bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast
from weakref import WeakSet

from media.planes.listeners import StreamClient, StreamListener
from media.planes.oneport import Link, OnePort
from media.wire.addresses import Address, owner_of
from media.wire.prefixed import Packets, is_noise, is_prefixed, prefixed

WAITING_BYTES = 256 * 1024
"""Unsent bytes of a connection; past it packets are dropped: late sound is worth nothing."""
IDLE_S = 10.0
"""A connection that has proved nothing lives this long."""
_TLS_HANDSHAKE = 0x16
CONNECTIONS = 4_000
CONNECTIONS_PER_HOST = 100


class SharedListener:
    """`await open`, then `close`. `turn` and `tls` take the connections that speak TURN."""

    def __init__(
        self,
        port: OnePort,
        turn: StreamListener | None = None,
        tls: StreamListener | None = None,
        *,
        connections: int = CONNECTIONS,
        per_host: int = CONNECTIONS_PER_HOST,
        idle_s: float = IDLE_S,
    ) -> None:
        self.port = port
        self.turn = turn
        self.tls = tls
        self.handed_over: WeakSet[StreamClient] = WeakSet()
        self.idle_s = idle_s
        self._connections = connections
        self._per_host = per_host
        self._server: asyncio.Server | None = None
        self._open: set[SharedClient] = set()
        self._hosts: Counter[str] = Counter()

    @property
    def addresses(self) -> list[Address]:
        assert self._server is not None
        return [one.getsockname() for one in self._server.sockets]

    def __len__(self) -> int:
        return len(self._open)

    async def open(self, hosts: list[str], port: int) -> None:
        """Raises OSError when an address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SharedClient(self), hosts, port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            clients: list[SharedClient | StreamClient] = [*self._open, *self.handed_over]
            for client in clients:
                client.abort()
            await self._server.wait_closed()

    def admits(self, client: SharedClient, host: str) -> bool:
        owner = owner_of(host)
        if len(self._open) >= self._connections or self._hosts[owner] >= self._per_host:
            self.port.drops["connections"] += 1
            return False
        self._open.add(client)
        self._hosts[owner] += 1
        return True

    def left(self, client: SharedClient, host: str) -> None:
        if client not in self._open:
            return
        self._open.discard(client)
        owner = owner_of(host)
        self._hosts[owner] -= 1
        if not self._hosts[owner]:
            del self._hosts[owner]


class SharedClient(asyncio.Protocol):
    """One connection. Until it has said what it is, at most ten of its bytes are kept."""

    def __init__(self, listener: SharedListener) -> None:
        self._listener = listener
        self._port = listener.port
        self._packets = Packets()
        self._start = b""
        self._link: Link | None = None
        self._address: Address = ("", 0)
        self._idle: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # A connection that was reset at once has no peer's name.
        name = transport.get_extra_info("peername")
        if name is None or not self._listener.admits(self, name[0]):
            self._transport.abort()
            return
        self._address = name
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._link is not None:
            self._feed(self._link, data)
            return
        self._start += data
        if self._start[0] == _TLS_HANDSHAKE and self._listener.tls is not None:
            self._hand_over(self._listener.tls)
            return
        what = is_prefixed(self._start)
        if what is True:
            self._link = self._port.add_link("tcp", self._send)
            data, self._start = self._start, b""
            self._feed(self._link, data)
        elif what is False and self._listener.turn is not None:
            self._hand_over(self._listener.turn)
        elif what is False or is_noise(self._start):
            self._port.drops["stream_noise"] += 1
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        if self._link is not None:
            self._port.drop_link(self._link, self._address)
            self._link = None

    def abort(self) -> None:
        self._transport.abort()

    def _feed(self, link: Link, data: bytes) -> None:
        packets = self._packets.feed(data)
        if packets is None:
            self._port.drops["stream_noise"] += 1
            self.abort()
            return
        for packet in packets:
            self._port.arrived(link, packet, self._address)

    def _hand_over(self, turn: StreamListener) -> None:
        self._leave()
        client = StreamClient(turn)
        self._listener.handed_over.add(client)
        self._transport.set_protocol(client)
        client.connection_made(self._transport)
        client.data_received(self._start)

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport.get_write_buffer_size() > WAITING_BYTES:
            self._port.drops["stream_full"] += 1
            return
        self._transport.write(prefixed(data))

    def _watch(self) -> None:
        """Now and then: has it proved a path? The first look is when the timer runs out."""
        if self._idle is not None and not self._is_proved():
            self._port.drops["idle_connection"] += 1
            self.abort()
            return
        self._idle = asyncio.get_running_loop().call_later(self._listener.idle_s, self._watch)

    def _is_proved(self) -> bool:
        if self._link is None:
            return False
        route = self._port.ice.route((self._link.number, self._address))
        return route is not None and route.proved

    def _leave(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._listener.left(self, self._address[0])
