"""What takes packets from a peer to the media port: UDP, or a stream that frames them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from media.peer.steps import Failed
from media.wire.addresses import Address
from media.wire.framing import Stream, padded
from media.wire.prefixed import Packets, prefixed

CONNECT_S = 3.0
WAITING_BYTES = 256 * 1024
"""Unsent bytes of a stream; past it packets are dropped, as the server does."""

Arrived = Callable[[bytes], object]


class Carrier(Protocol):
    """`is_reliable`: what is sent arrives, or the carrier ends."""

    is_reliable: bool

    def send(self, packet: bytes) -> None: ...

    def listen(self, arrived: Arrived) -> None:
        """Who gets each packet from now on; what came before is gone."""
        ...

    @property
    def trouble(self) -> str:
        """What the system said of it since it was opened; "": nothing."""
        ...

    def close(self) -> None: ...


class Datagrams(asyncio.DatagramProtocol):
    """A UDP socket that is connected: the system tells when nobody is there."""

    is_reliable = False

    def __init__(self) -> None:
        self.trouble = ""
        self._arrived: Arrived = _ignore
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._arrived(data)

    def error_received(self, error: Exception) -> None:
        self.trouble = _word(error)

    def listen(self, arrived: Arrived) -> None:
        self._arrived = arrived

    def send(self, packet: bytes) -> None:
        self._transport.sendto(packet)

    def close(self) -> None:
        self._transport.close()


class Framed(asyncio.Protocol):
    """A stream. `cut` makes packets of what comes, `wrap` frames one that goes."""

    is_reliable = True

    def __init__(
        self, cut: Callable[[bytes], list[bytes] | None], wrap: Callable[[bytes], bytes]
    ) -> None:
        self.trouble = ""
        self._cut = cut
        self._wrap = wrap
        self._arrived: Arrived = _ignore
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        packets = self._cut(data)
        if packets is None:
            self.trouble = "it answers in another protocol"
            self._transport.abort()
            return
        for packet in packets:
            self._arrived(packet)

    def connection_lost(self, error: Exception | None) -> None:
        self.trouble = self.trouble or (_word(error) if error else "it closed the connection")

    def listen(self, arrived: Arrived) -> None:
        self._arrived = arrived

    def send(self, packet: bytes) -> None:
        if self._transport.get_write_buffer_size() <= WAITING_BYTES:
            self._transport.write(self._wrap(packet))

    def close(self) -> None:
        self._transport.abort()


async def open_datagrams(target: Address) -> Datagrams:
    """Raises Failed."""
    try:
        _, opened = await asyncio.get_running_loop().create_datagram_endpoint(
            Datagrams, remote_addr=target[:2]
        )
    except OSError as error:
        raise Failed("connect", _word(error)) from error
    return opened


async def open_ice_tcp(target: Address) -> Framed:
    """Raises Failed."""
    return await _open(target, lambda: Framed(Packets().feed, prefixed))


async def open_turn_tcp(
    target: Address, *, tls: ssl.SSLContext | None = None, name: str = ""
) -> Framed:
    """Raises Failed, with "tls" when the certificate is none for `name` too."""
    return await _open(target, lambda: Framed(Stream().feed, padded), tls=tls, name=name)


async def _open(
    target: Address,
    made: Callable[[], Framed],
    *,
    tls: ssl.SSLContext | None = None,
    name: str = "",
) -> Framed:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, opened = await asyncio.get_running_loop().create_connection(
                made, *target[:2], ssl=tls, server_hostname=name or None
            )
    except TimeoutError as error:
        raise Failed("connect") from error
    except ssl.SSLCertVerificationError as error:
        raise Failed("tls", error.verify_message) from error
    except ssl.SSLError as error:
        raise Failed("tls", error.reason or "the handshake fails") from error
    except ConnectionResetError as error:
        raise Failed("tls" if tls is not None else "connect", _word(error)) from error
    except OSError as error:
        raise Failed("connect", _word(error)) from error
    return opened


def _ignore(packet: bytes) -> None:
    """Before anybody listens."""


def _word(error: Exception) -> str:
    """The system's: asyncio's own texts repeat the address."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return type(error).__name__
