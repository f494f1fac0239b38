"""Packets on a stream, each behind its length: 2 bytes, big endian (RFC 4571, ICE-TCP)."""

from __future__ import annotations

from media.wire.addresses import COOKIE

PACKET_BYTES = 2_048
"""Longer ones close the stream: WebRTC's packets fit into 1,500 bytes."""
_SNIFFED = 10


def is_prefixed(start: bytes) -> bool | None:
    """Whether a stream that begins so carries prefixed STUN (True: ICE-TCP) or bare STUN (False:
    TURN), by where the magic cookie stands; None: too early to tell, or neither.
    """
    if start[4:8] == COOKIE:
        return False
    return True if start[6:_SNIFFED] == COOKIE else None


def is_noise(start: bytes) -> bool:
    """Whether no more bytes can make sense of it."""
    return len(start) >= _SNIFFED and is_prefixed(start) is None


def prefixed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


class Packets:
    """Cuts a stream into packets. Holds at most one unfinished packet."""

    def __init__(self, limit: int = PACKET_BYTES) -> None:
        self._limit = limit
        self._waiting = b""

    @property
    def waiting_bytes(self) -> int:
        return len(self._waiting)

    def feed(self, data: bytes) -> list[bytes] | None:
        """Whole packets; None: one is longer than the limit, close. Empty packets are skipped."""
        data = self._waiting + data if self._waiting else data
        packets = []
        at, end = 0, len(data)
        while end - at >= 2:
            size = data[at] << 8 | data[at + 1]
            if size > self._limit:
                self._waiting = b""
                return None
            behind = at + 2 + size
            if behind > end:
                break
            if size:
                packets.append(data[at + 2 : behind])
            at = behind
        self._waiting = data[at:]
        return packets
