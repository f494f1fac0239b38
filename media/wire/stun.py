"""STUN messages (RFC 8489): parsed once, checked in place, built in one go.

Header, 20 bytes: 2 bytes type (two zero bits, 14 bits of method and class), 2 bytes length of what
follows, 4 bytes magic cookie, 12 bytes transaction id. Then attributes: 2 bytes type, 2 bytes
length, the value, padding to 4 bytes. Big endian.
"""

from __future__ import annotations

import hmac
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from media.wire.addresses import COOKIE
from media.wire.attributes import (
    ERROR_CODE,
    FINGERPRINT,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    encode_error,
)

BINDING: Final = 0x001
ALLOCATE: Final = 0x003
REFRESH: Final = 0x004
SEND: Final = 0x006
DATA_METHOD: Final = 0x007
CREATE_PERMISSION: Final = 0x008
CHANNEL_BIND: Final = 0x009

REQUEST: Final = 0x000
INDICATION: Final = 0x010
SUCCESS: Final = 0x100
ERROR: Final = 0x110

HEADER_BYTES: Final = 20
_CLASS_BITS = 0x110
_FINGERPRINT_MASK = 0x5354554E
"""XORed with the CRC, so that it differs from one of the application's own: section 14.7."""
_REQUIRED_BELOW = 0x8000
_SHA1_BYTES = 20
_SHA256_BYTES = range(16, 33, 4)
"""Truncation: at least 16 bytes, a multiple of 4: section 14.6."""
MOST_ATTRIBUTES: Final = 512
"""Of a message. The longest in use asks for permissions for 256 peers; a datagram has room for
16,000 empty ones, which took 3 ms to read.
"""
_PROOFS = frozenset({MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, FINGERPRINT})
_two = struct.Struct("!HH")
_unpack = _two.unpack_from

Attribute = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a STUN message; `reason` names what is wrong, for a counter."""

    reason: str


class Message:
    """One parsed message. Of an attribute that comes twice the first counts (section 14), except
    where `every` asks for all; what stands behind the integrity is left out.
    """

    __slots__ = (
        "_data",
        "_repeated",
        "_sha1_at",
        "_sha256_at",
        "attributes",
        "transaction",
        "type",
    )

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.type = data[0] << 8 | data[1]
        self.transaction = data[8:20]
        self.attributes: dict[int, bytes] = {}
        self._repeated: list[Attribute] = []
        self._sha1_at = self._sha256_at = 0

    @property
    def method(self) -> int:
        """With the class bits out, as `BINDING` and its like are written."""
        return self.type & ~_CLASS_BITS

    @property
    def kind(self) -> int:
        """REQUEST, INDICATION, SUCCESS or ERROR."""
        return self.type & _CLASS_BITS

    def get(self, attribute: int) -> bytes | None:
        return self.attributes.get(attribute)

    def every(self, attribute: int) -> list[bytes]:
        first = self.attributes.get(attribute)
        if first is None:
            return []
        return [first, *(value for number, value in self._repeated if number == attribute)]

    def unknown(self, known: frozenset[int]) -> list[int]:
        """Attributes that must be understood and are not in `known`."""
        return [
            number for number in self.attributes if number < _REQUIRED_BELOW and number not in known
        ]

    @property
    def has_sha1(self) -> bool:
        return self._sha1_at > 0

    @property
    def has_sha256(self) -> bool:
        return self._sha256_at > 0

    def proves_sha1(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and was made with `key`."""
        at = self._sha1_at
        if not at:
            return False
        wanted = hmac.digest(key, _with_length(self._data, at, 4 + _SHA1_BYTES), "sha1")
        return hmac.compare_digest(wanted, self.attributes[MESSAGE_INTEGRITY])

    def proves_sha256(self, key: bytes) -> bool:
        """The same of MESSAGE-INTEGRITY-SHA256, which may be cut to 16 bytes."""
        at = self._sha256_at
        if not at:
            return False
        value = self.attributes[MESSAGE_INTEGRITY_SHA256]
        wanted = hmac.digest(key, _with_length(self._data, at, 4 + len(value)), "sha256")
        return hmac.compare_digest(wanted[: len(value)], value)

    def _take_proof(self, number: int, value: bytes, at: int) -> str | None:
        """Keeps one attribute from the first proof on; answers what is wrong with it, or None."""
        if FINGERPRINT in self.attributes:
            return "after_fingerprint"
        if number == FINGERPRINT:
            if len(value) != 4 or int.from_bytes(value, "big") != _fingerprint(self._data[:at]):
                return "fingerprint"
        elif number == MESSAGE_INTEGRITY_SHA256 and not self._sha256_at:
            if len(value) not in _SHA256_BYTES:
                return "integrity_length"
            self._sha256_at = at
        elif number == MESSAGE_INTEGRITY and not self._sha1_at and not self._sha256_at:
            if len(value) != _SHA1_BYTES:
                return "integrity_length"
            self._sha1_at = at
        else:
            return None
        self.attributes[number] = value
        return None


def parse(data: bytes) -> Message | Malformed:
    """One whole message. A FINGERPRINT is checked where there is one; integrity needs a key."""
    end = len(data)
    if end < HEADER_BYTES:
        return Malformed("short")
    if data[0] > 0x3F:
        return Malformed("first_bits")
    if data[4:8] != COOKIE:
        return Malformed("cookie")
    if (data[2] << 8 | data[3]) != end - HEADER_BYTES or end & 3:
        return Malformed("length")
    message = Message(data)
    attributes = message.attributes
    proofs = False
    at = HEADER_BYTES
    for _ in range(MOST_ATTRIBUTES):
        if at >= end:
            return message
        number, size = _unpack(data, at)
        behind = at + 4 + size
        if behind > end:
            return Malformed("attribute_length")
        value = data[at + 4 : behind]
        if proofs or number in _PROOFS:
            proofs = True
            wrong = message._take_proof(number, value, at)
            if wrong is not None:
                return Malformed(wrong)
        elif number in attributes:
            message._repeated.append((number, value))
        else:
            attributes[number] = value
        at = (behind + 3) & ~3
    return message if at >= end else Malformed("attributes")


def build(
    kind: int,
    transaction: bytes,
    attributes: Iterable[Attribute] = (),
    *,
    key: bytes | None = None,
    sha256: bool = False,
    fingerprint: bool = False,
) -> bytes:
    """A whole message. `kind` is method | class; with `key` it is signed, by SHA-256 if so said."""
    parts = []
    for number, value in attributes:
        parts.append(_two.pack(number, len(value)))
        parts.append(value)
        if len(value) & 3:
            parts.append(bytes(-len(value) & 3))
    body = b"".join(parts)
    start = kind.to_bytes(2, "big")
    rest = COOKIE + transaction + body
    if key is not None:
        digest = "sha256" if sha256 else "sha1"
        number, size = (
            (MESSAGE_INTEGRITY_SHA256, 32) if sha256 else (MESSAGE_INTEGRITY, _SHA1_BYTES)
        )
        length = len(body) + 4 + size
        proof = hmac.digest(key, start + length.to_bytes(2, "big") + rest, digest)
        rest += _two.pack(number, size) + proof
    if not fingerprint:
        return start + (len(rest) - 16).to_bytes(2, "big") + rest
    signed = start + (len(rest) - 16 + 8).to_bytes(2, "big") + rest
    return signed + _two.pack(FINGERPRINT, 4) + _fingerprint(signed).to_bytes(4, "big")


def error(request: Message, code: int, reason: str) -> tuple[int, Attribute]:
    """The type and first attribute of the error response to `request`."""
    return request.method | ERROR, (ERROR_CODE, encode_error(code, reason))


def _with_length(data: bytes, at: int, more: int) -> bytes:
    """What an integrity covers: all before `at`, the header's length as if it ended behind it."""
    return data[:2] + (at - HEADER_BYTES + more).to_bytes(2, "big") + data[4:at]


def _proof(start: bytes, rest: bytes, key: bytes, *, sha256: bool) -> bytes:
    """The integrity attribute behind `start` (the type), length and `rest` (cookie and on)."""
    if sha256:
        length = (len(rest) - 16 + 36).to_bytes(2, "big")
        return _two.pack(MESSAGE_INTEGRITY_SHA256, 32) + hmac.digest(
            key, start + length + rest, "sha256"
        )
    length = (len(rest) - 16 + 24).to_bytes(2, "big")
    return _two.pack(MESSAGE_INTEGRITY, _SHA1_BYTES) + hmac.digest(
        key, start + length + rest, "sha1"
    )


def _fingerprint(covered: bytes) -> int:
    return zlib.crc32(covered) ^ _FINGERPRINT_MASK
