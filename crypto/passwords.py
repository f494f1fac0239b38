"""Password hashes: Argon2id (RFC 9106) in the PHC string format.

Every call takes tens of milliseconds and MEMORY_KIB of memory: run it in a thread, few at a time.
"""

from __future__ import annotations

import base64
import unicodedata

import argon2
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

MEMORY_KIB = 19_456
"""19 MiB with two passes and one lane is OWASP's first choice for Argon2id: as strong as 64 MiB in
one pass on the attacker's hardware, and two at a time still fit a machine of 512 MB."""
PASSES = 2
LANES = 1
HASH_BYTES = 32
SALT_BYTES = 16

_hasher = argon2.PasswordHasher(
    time_cost=PASSES,
    memory_cost=MEMORY_KIB,
    parallelism=LANES,
    hash_len=HASH_BYTES,
    salt_len=SALT_BYTES,
    type=Type.ID,
)


def hash_password(password: str) -> str:
    """A new salted hash of `password`."""
    return _hasher.hash(_octets(password))


def verify_password(stored: str, password: str) -> bool:
    """Whether `stored` is a hash of `password`. A `stored` that is no hash never matches."""
    try:
        return _hasher.verify(stored, _octets(password))
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """True when `stored` has other parameters than today's: hash anew at the next login."""
    try:
        return _hasher.check_needs_rehash(stored)
    except InvalidHashError:
        return False


def decoy_hash() -> str:
    """A well-formed hash that no password has: verifying against it costs what a real one costs."""
    salt = _unpadded(b"no such user here"[:SALT_BYTES])
    digest = _unpadded(bytes(HASH_BYTES))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${digest}"


UNUSABLE = "!"
"""Stored for users who never log in by password; matches nothing."""


def _octets(password: str) -> bytes:
    """UTF-8 of the NFC form, so that one password typed on two keyboards is one (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8")


def _unpadded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii").rstrip("=")
