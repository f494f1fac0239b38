"""Connectivity checks on the wire: STUN Binding with a short-term credential (RFC 8445, 7)."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Final

from media.wire.addresses import Address, encode_xor
from media.wire.attributes import (
    ICE_CONTROLLED,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    PRIORITY,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    decode_tie_breaker,
    decode_u32,
)
from media.wire.stun import BINDING, REQUEST, SUCCESS, Message, build, error

UFRAG_CHARS: Final = 8
PASSWORD_CHARS: Final = 24
"""128 bits of password and 24 of name are asked for (RFC 8445, section 5.3): 142 and 47."""
_ALPHABET = string.ascii_letters + string.digits
_KNOWN = frozenset({USERNAME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, USE_CANDIDATE})
_LOWEST_PRIORITY = 1
_PROBE_PRIORITY = (1_845_501_695).to_bytes(4, "big")
"""Of a peer-reflexive candidate, local preference 65535: RFC 8445, section 5.1.2.1."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One side's, as SDP's `a=ice-ufrag` and `a=ice-pwd` carry them."""

    ufrag: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.ufrag})"


def new_credentials() -> Credentials:
    return Credentials(_random(UFRAG_CHARS), _random(PASSWORD_CHARS))


def named_in(message: Message) -> tuple[str, str] | None:
    """Our name and the peer's in the USERNAME of a check; None: there is none that is one."""
    value = message.get(USERNAME)
    if value is None:
        return None
    ours, colon, theirs = value.partition(b":")
    if not colon or not ours.isascii() or not theirs.isascii():
        return None
    return ours.decode(), theirs.decode()


def priority_of(message: Message) -> int:
    return decode_u32(message.get(PRIORITY)) or _LOWEST_PRIORITY


def nominates(message: Message) -> bool:
    return USE_CANDIDATE in message.attributes


def refusal_of(message: Message, key: bytes) -> bytes | None:
    """The error response to an authentic check, where one is due.

    420 for what must be understood and is not. 487 for a peer that believes to be controlled: a
    lite agent never controls, so it is the peer who changes, whatever the tie-breakers say
    (RFC 8445, sections 6.1.1 and 7.3.1.1).
    """
    unknown = message.unknown(_KNOWN)
    if unknown:
        kind, first = error(message, 420, "Unknown Attribute")
        numbers = b"".join(number.to_bytes(2, "big") for number in unknown[:16])
        attributes = (first, (UNKNOWN_ATTRIBUTES, numbers))
        return build(kind, message.transaction, attributes, key=key, fingerprint=True)
    if decode_tie_breaker(message.get(ICE_CONTROLLED)) is not None:
        kind, first = error(message, 487, "Role Conflict")
        return build(kind, message.transaction, (first,), key=key, fingerprint=True)
    return None


def answer_to(message: Message, source: Address, key: bytes) -> bytes:
    mapped = encode_xor(source, message.transaction)
    return build(
        BINDING | SUCCESS,
        message.transaction,
        ((XOR_MAPPED_ADDRESS, mapped),),
        key=key,
        fingerprint=True,
    )


def probe(transaction: bytes, *, ours: str, peer: Credentials, tie_breaker: bytes) -> bytes:
    """A check of our own: it measures the round trip and proves an address (RFC 7675)."""
    return build(
        BINDING | REQUEST,
        transaction,
        (
            (USERNAME, f"{peer.ufrag}:{ours}".encode()),
            (PRIORITY, _PROBE_PRIORITY),
            (ICE_CONTROLLED, tie_breaker),
        ),
        key=peer.password.encode(),
        fingerprint=True,
    )


def _random(chars: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(chars))
