"""A UDP socket that is read until it would block."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable

from media.wire.addresses import Address

READS = 128
"""Datagrams of one turn of the loop; then other sockets have theirs. 64 to 512 measured alike."""
_READ_BYTES = 65_536
_BUFFER_BYTES = 4 * 1024 * 1024
"""Asked for; the system's own ceiling may be lower (net.core.rmem_max)."""
# Linux, ip(7) and ipv6(7): this Python has no names for them.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _DONT, _DO = 10, 23, 0, 2


def bind_datagram(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket of one family. Raises OSError, for example when it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made


def bind_all(host: str, ports: tuple[int, ...]) -> list[socket.socket] | None:
    """A socket for each port, or none at all."""
    with contextlib.ExitStack() as undo:
        bound = []
        for port in ports:
            try:
                one = bind_datagram(host, port)
            except OSError:
                return None
            undo.callback(one.close)
            bound.append(one)
        undo.pop_all()
        return bound


class DatagramSocket:
    """Owns `bound`. `read` says who gets each datagram; `send` never blocks and never raises: what
    the system does not take is counted in `drops`.
    """

    def __init__(
        self,
        bound: socket.socket,
        *,
        loop: asyncio.AbstractEventLoop,
        drops: Counter[str],
    ) -> None:
        self._socket = bound
        self._loop = loop
        self._drops = drops
        self._sendto = bound.sendto

    @property
    def address(self) -> Address:
        name: Address = self._socket.getsockname()
        return name

    def read(self, arrived: Callable[[bytes, Address], object]) -> None:
        self._loop.add_reader(self._socket.fileno(), self._readable, arrived)

    def send(self, data: bytes, address: Address) -> None:
        try:
            self._sendto(data, address)
        except BlockingIOError:
            self._drops["send_full"] += 1
        except OSError:
            # Unreachable, too long, port 0: the peer's business, as a lost packet is.
            self._drops["send_refused"] += 1

    def send_unfragmented(self, data: bytes, address: Address) -> None:
        self._discover(_DO)
        self.send(data, address)
        self._discover(_DONT)

    def allow_fragments(self) -> None:
        """Linux sets "don't fragment" on its own otherwise; a relay passes what it gets."""
        self._discover(_DONT)

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _discover(self, how: int) -> None:
        if self._socket.family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, how)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)

    def _readable(self, arrived: Callable[[bytes, Address], object]) -> None:
        recvfrom = self._socket.recvfrom
        try:
            for _ in range(READS):
                arrived(*recvfrom(_READ_BYTES))
        except BlockingIOError:
            return
        except OSError:
            # A pending ICMP error, or closed by what just arrived.
            self._drops["receive_failed"] += 1
