"""Whether an SCTP packet is framed as RFC 9260 says: what stands before a parser that trusts.

Common header, 12 bytes; then chunks: 1 byte type, 1 byte flags, 2 bytes length with these 4, the
value, padding to 4 bytes. Parameters within a chunk: 2 bytes type, 2 bytes length with these 4.
"""

from __future__ import annotations

HEADER_BYTES = 12
CHUNKS = 32
"""Of one packet: some are answered by one of ours each. Senders bundle a handful."""
ACKED = 8_192
"""TSNs that the gap blocks of one SACK may name: eight windows of 1 MiB. A block can name 65,536
with 4 bytes, and a receiver may walk through all.
"""
_SACK = 3
_SACK_BYTES = 16
_PARAMETERS_AT = {1: 20, 2: 20, 4: 4, 5: 4, 6: 4, 9: 4, 130: 4}
"""Where the parameters begin, by chunk type: INIT, INIT ACK, HEARTBEAT (ACK), ABORT, ERROR,
RE-CONFIG.
"""


def is_sound(packet: bytes) -> bool:
    """Every length fits and leads on. The checksum is not looked at."""
    at, end = HEADER_BYTES, len(packet)
    for _ in range(CHUNKS):
        if end - at < 4:
            return at > HEADER_BYTES
        size = packet[at + 2] << 8 | packet[at + 3]
        behind = at + size
        if size < 4 or behind > end or not _is_sound_chunk(packet, at, behind):
            return False
        at = behind + (-size & 3)
    return at >= end


def _is_sound_chunk(packet: bytes, at: int, end: int) -> bool:
    kind = packet[at]
    if kind == _SACK:
        return _is_sound_sack(packet, at, end)
    first = _PARAMETERS_AT.get(kind)
    if first is None:
        return True
    at += first
    while end - at >= 4:
        size = packet[at + 2] << 8 | packet[at + 3]
        if size < 4 or at + size > end:
            return False
        at += size + (-size & 3)
    return True


def _is_sound_sack(packet: bytes, at: int, end: int) -> bool:
    if end - at < _SACK_BYTES:
        return False
    gaps = packet[at + 12] << 8 | packet[at + 13]
    doubles = packet[at + 14] << 8 | packet[at + 15]
    if at + _SACK_BYTES + 4 * (gaps + doubles) > end:
        return False
    named = 0
    for block in range(at + _SACK_BYTES, at + _SACK_BYTES + 4 * gaps, 4):
        first = packet[block] << 8 | packet[block + 1]
        last = packet[block + 2] << 8 | packet[block + 3]
        named += last - first + 1
        if not 0 < first <= last or named > ACKED:
            return False
    return True
