"""Transport addresses inside STUN attributes, in the shape Python's sockets use."""

from __future__ import annotations

import socket
import struct

Address = tuple[str, int] | tuple[str, int, int, int]
"""As `socket.recvfrom` gives it: (host, port), for IPv6 with flow and scope (both 0 here)."""

IPV4, IPV6 = 1, 2
"""Families as STUN numbers them."""
COOKIE = b"\x21\x12\xa4\x42"
_COOKIE = 0x2112A442
_PORT_MASK = _COOKIE >> 16
_head = struct.Struct("!xBH")
_ipv4 = struct.Struct("!xBHI")


def family_of(address: Address) -> int:
    return IPV6 if ":" in address[0] else IPV4


def canonical(host: str) -> str:
    """A numeric host as `socket.recvfrom` writes it. Raises OSError for what is not numeric."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, host))


def owner_of(host: str) -> str:
    """What to count strangers by: an IPv4 address; of IPv6 the /64, which one machine owns whole.

    Raises:
        OSError: `host` is not a numeric address, as `socket.recvfrom` writes it.
    """
    if ":" not in host:
        return host
    return socket.inet_pton(socket.AF_INET6, host)[:8].hex()


def encode_xor(address: Address, transaction: bytes) -> bytes:
    """The value of an XOR-*-ADDRESS. `transaction` (12 bytes) masks IPv6.

    Layout: 1 byte 0, 1 byte family, 2 bytes port, 4 or 16 bytes host; port and host XORed with the
    magic cookie, IPv6 hosts with cookie and transaction id.

    Raises:
        OSError: the host is not a numeric address.

    Source: RFC 8489, section 14.2.
    """
    host, port = address[0], address[1]
    if ":" not in host:
        (number,) = struct.unpack("!I", socket.inet_pton(socket.AF_INET, host))
        return _ipv4.pack(IPV4, port ^ _PORT_MASK, number ^ _COOKIE)
    masked = _mask(socket.inet_pton(socket.AF_INET6, host), transaction)
    return _head.pack(IPV6, port ^ _PORT_MASK) + masked


def decode_xor(value: bytes, transaction: bytes) -> Address | None:
    """The address; None when family and length disagree."""
    if len(value) == 8 and value[1] == IPV4:
        _, port, number = _ipv4.unpack(value)
        host = socket.inet_ntop(socket.AF_INET, (number ^ _COOKIE).to_bytes(4, "big"))
        return host, port ^ _PORT_MASK
    if len(value) == 20 and value[1] == IPV6:
        _, port = _head.unpack_from(value)
        host = socket.inet_ntop(socket.AF_INET6, _mask(value[4:], transaction))
        return host, port ^ _PORT_MASK, 0, 0
    return None


def _mask(host: bytes, transaction: bytes) -> bytes:
    mask = int.from_bytes(COOKIE + transaction, "big")
    return (int.from_bytes(host, "big") ^ mask).to_bytes(16, "big")
