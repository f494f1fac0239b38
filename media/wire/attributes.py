"""STUN, TURN and ICE attributes: their numbers, and the values that have a structure of their own.

Decoders answer None for a value that is not what its type demands.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

# RFC 8489, section 18.3: STUN. Types under 0x8000 must be understood.
USERNAME: Final = 0x0006
MESSAGE_INTEGRITY: Final = 0x0008
ERROR_CODE: Final = 0x0009
UNKNOWN_ATTRIBUTES: Final = 0x000A
REALM: Final = 0x0014
NONCE: Final = 0x0015
MESSAGE_INTEGRITY_SHA256: Final = 0x001C
PASSWORD_ALGORITHM: Final = 0x001D
USERHASH: Final = 0x001E
XOR_MAPPED_ADDRESS: Final = 0x0020
PASSWORD_ALGORITHMS: Final = 0x8002
SOFTWARE: Final = 0x8022
FINGERPRINT: Final = 0x8028
# RFC 8656, section 18: TURN.
CHANNEL_NUMBER: Final = 0x000C
LIFETIME: Final = 0x000D
XOR_PEER_ADDRESS: Final = 0x0012
DATA: Final = 0x0013
XOR_RELAYED_ADDRESS: Final = 0x0016
REQUESTED_ADDRESS_FAMILY: Final = 0x0017
EVEN_PORT: Final = 0x0018
REQUESTED_TRANSPORT: Final = 0x0019
DONT_FRAGMENT: Final = 0x001A
RESERVATION_TOKEN: Final = 0x0022
ADDITIONAL_ADDRESS_FAMILY: Final = 0x8000
ADDRESS_ERROR_CODE: Final = 0x8001
# RFC 8445, section 16.1: ICE.
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
ICE_CONTROLLED: Final = 0x8029
ICE_CONTROLLING: Final = 0x802A

MD5: Final = 1
SHA256: Final = 2
ALGORITHMS: Final = b"\x00\x02\x00\x00\x00\x01\x00\x00"
"""PASSWORD-ALGORITHMS of ours, the better one first: number and length of parameters, each 2 bytes.
"""
NONCE_COOKIE: Final = b"obMatJos2"
"""Says that four characters of security features follow: RFC 8489, section 9.2."""
FEATURE_ALGORITHMS: Final = 1
FEATURE_ANONYMITY: Final = 2


def encode_error(code: int, reason: str) -> bytes:
    """2 bytes 0, 1 byte hundreds, 1 byte rest, the reason: RFC 8489, section 14.8."""
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def decode_error(value: bytes) -> int | None:
    if len(value) < 4 or not 3 <= value[2] <= 6 or value[3] > 99:
        return None
    return value[2] * 100 + value[3]


def decode_u32(value: bytes | None) -> int | None:
    """LIFETIME, PRIORITY: 4 bytes."""
    return int.from_bytes(value, "big") if value is not None and len(value) == 4 else None


def decode_tie_breaker(value: bytes | None) -> int | None:
    """ICE-CONTROLLING, ICE-CONTROLLED: 8 bytes."""
    return int.from_bytes(value, "big") if value is not None and len(value) == 8 else None


def decode_first_byte(value: bytes | None) -> int | None:
    """What stands in front of 3 reserved bytes: REQUESTED-TRANSPORT and the address families."""
    return value[0] if value is not None and len(value) == 4 else None


def decode_channel(value: bytes | None) -> int | None:
    """CHANNEL-NUMBER: 2 bytes, 2 reserved bytes."""
    return int.from_bytes(value[:2], "big") if value is not None and len(value) == 4 else None


def decode_algorithm(value: bytes) -> int | None:
    """PASSWORD-ALGORITHM: number and length of its parameters, each 2 bytes; ours have none."""
    return int.from_bytes(value[:2], "big") if len(value) == 4 and value[2:] == b"\0\0" else None


def encode_features(features: int) -> bytes:
    """The start of a nonce: the cookie and 24 bits of features, bit 0 the lowest, as base64."""
    return NONCE_COOKIE + base64.b64encode(features.to_bytes(3, "big"))


def decode_features(nonce: bytes) -> int:
    """0 for a nonce without the cookie."""
    start = len(NONCE_COOKIE)
    if not nonce.startswith(NONCE_COOKIE) or len(nonce) < start + 4:
        return 0
    try:
        return int.from_bytes(base64.b64decode(nonce[start : start + 4], validate=True), "big")
    except binascii.Error:
        return 0


def userhash(username: str, realm: str) -> bytes:
    """32 bytes: RFC 8489, section 14.4."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()


def long_term_key(algorithm: int, *, username: str, realm: str, password: str) -> bytes:
    """16 bytes by MD5, 32 by SHA-256: RFC 8489, section 18.5.1."""
    text = f"{username}:{realm}:{password}".encode()
    if algorithm == SHA256:
        return hashlib.sha256(text).digest()
    return hashlib.md5(text, usedforsecurity=False).digest()
