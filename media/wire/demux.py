"""What a datagram is, by its first byte: one port carries them all (RFC 7983, section 7)."""

from __future__ import annotations

from enum import IntEnum

SMALLEST_BYTES = 4
"""Shorter than a ChannelData header: none of the protocols has such a message."""
_RTCP_TYPES = range(192, 224)
"""Second byte of RTCP on a port shared with RTP: RFC 5761, section 4."""


class Kind(IntEnum):
    """Of a datagram. ZRTP and whatever else is `NOISE`."""

    NOISE = 0
    STUN = 1
    CHANNEL = 2
    DTLS = 3
    RTP = 4


def _kind(first_byte: int) -> Kind:
    if first_byte <= 3:
        return Kind.STUN
    if 20 <= first_byte <= 63:
        return Kind.DTLS
    if 64 <= first_byte <= 127:
        # Not 64..79: see `media.wire.framing.LAST_CHANNEL`.
        return Kind.CHANNEL
    return Kind.RTP if 128 <= first_byte <= 191 else Kind.NOISE


KIND_OF_BYTE = tuple(_kind(byte) for byte in range(256))


def kind_of(datagram: bytes) -> Kind:
    """`RTP` is RTP or RTCP, protected or not."""
    return KIND_OF_BYTE[datagram[0]] if len(datagram) >= SMALLEST_BYTES else Kind.NOISE


def is_rtcp(packet: bytes) -> bool:
    """Of a packet of `Kind.RTP`."""
    return packet[1] in _RTCP_TYPES


def ssrc_of(packet: bytes) -> int:
    """Of an RTP packet (bytes 8..11); 0 for one that is too short to have one."""
    return int.from_bytes(packet[8:12], "big") if len(packet) >= 12 else 0
