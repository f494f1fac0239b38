"""DTLS records: where one ends. OpenSSL's memory BIO joins what were datagrams.

A record, 13 bytes and the payload: 1 byte type, 2 bytes version (first 0xFE), 2 bytes epoch, 6
bytes sequence number, 2 bytes length; big endian (RFC 6347, section 4.1).
"""

from __future__ import annotations

HEADER_BYTES = 13
RECORD_BYTES = HEADER_BYTES + 16_384 + 2_048
_VERSION = 0xFE


def split(data: bytes) -> list[bytes] | None:
    """The records of a datagram, or of what the BIO holds; None: they do not fill it exactly."""
    records = []
    at, end = 0, len(data)
    while at < end:
        if end - at < HEADER_BYTES or data[at + 1] != _VERSION:
            return None
        behind = at + HEADER_BYTES + (data[at + 11] << 8 | data[at + 12])
        if behind > end:
            return None
        records.append(data[at:behind])
        at = behind
    return records


def pack(records: list[bytes], mtu: int) -> list[bytes]:
    """Datagrams of at most `mtu` bytes, each of whole records in their order."""
    datagrams: list[bytes] = []
    for record in records:
        if datagrams and len(datagrams[-1]) + len(record) <= mtu:
            datagrams[-1] += record
        else:
            datagrams.append(record)
    return datagrams
