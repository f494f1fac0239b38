"""What an Allocate request asks for, read by the steps of RFC 8656, section 7.2."""

from __future__ import annotations

from dataclasses import dataclass

from media.wire import attributes as a
from media.wire.addresses import IPV4, IPV6
from media.wire.stun import Message

_UDP = 17
_DRAFTED_ADDITIONAL_FAMILY = 0x8032
"""ADDITIONAL-ADDRESS-FAMILY before RFC 8656 had a number for it; coturn's clients (4.6) send it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A well-formed request's. Whether it can be had is for `Allocating`."""

    families: tuple[int, ...]
    """Of two, one is enough."""
    even: bool
    pair: bool
    token: bytes | None
    lifetime: int | None


def read_wish(request: Message) -> Wish | int:
    """The wish, or the code that refuses it."""
    # 3. REQUESTED-TRANSPORT: there, well formed, UDP. (4. DONT-FRAGMENT: supported.)
    transport = a.decode_first_byte(request.get(a.REQUESTED_TRANSPORT))
    if transport is None:
        return 400
    if transport != _UDP:
        return 442
    even = request.get(a.EVEN_PORT)
    token = request.get(a.RESERVATION_TOKEN)
    families = _families(request)
    if families is None or (even is not None and len(even) != 1):
        return 400
    # 5. RESERVATION-TOKEN excludes EVEN-PORT and both family attributes.
    named = request.get(a.REQUESTED_ADDRESS_FAMILY) or request.get(a.ADDITIONAL_ADDRESS_FAMILY)
    if token is not None and (len(token) != 8 or even is not None or named is not None):
        return 400
    # 6. An unsupported family: the caller's step; one that does not exist is 440 too.
    if not set(families) <= {IPV4, IPV6}:
        return 440
    # 7. EVEN-PORT with the R bit cannot be had for two families.
    pair = even is not None and bool(even[0] & 0x80)
    if pair and len(families) > 1:
        return 400
    lifetime = request.get(a.LIFETIME)
    if lifetime is not None and len(lifetime) != 4:
        return 400
    return Wish(families, even is not None, pair, token, a.decode_u32(lifetime))


def _families(request: Message) -> tuple[int, ...] | None:
    """None: malformed. ADDITIONAL-ADDRESS-FAMILY stands alone and means IPv6 beside IPv4."""
    requested = request.get(a.REQUESTED_ADDRESS_FAMILY)
    additional = request.get(a.ADDITIONAL_ADDRESS_FAMILY)
    if additional is not None:
        if requested is not None or a.decode_first_byte(additional) != IPV6:
            return None
        return IPV4, IPV6
    if requested is None:
        drafted = a.decode_first_byte(request.get(_DRAFTED_ADDITIONAL_FAMILY))
        return (IPV4, IPV6) if drafted == IPV6 else (IPV4,)
    family = a.decode_first_byte(requested)
    return None if family is None else (family,)
