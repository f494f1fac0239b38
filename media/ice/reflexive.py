"""Asks a STUN server how the world sees our socket. No I/O: the answer comes on that socket."""

from __future__ import annotations

import secrets

from media.wire.addresses import Address, decode_xor
from media.wire.attributes import XOR_MAPPED_ADDRESS
from media.wire.stun import BINDING, REQUEST, SUCCESS, Message, build

FIRST_S = 0.5
ATTEMPTS = 5
"""Doubling from `FIRST_S`: 15.5 s in all (RFC 8489, section 6.2.1 has 7 and 39.5 s)."""


class Query:
    """One question: send `request` when `due`, hand it what comes from the server."""

    def __init__(self, server: Address, now: float) -> None:
        self.server = server
        self.mapped: Address | None = None
        self._transaction = secrets.token_bytes(12)
        self.request = build(BINDING | REQUEST, self._transaction)
        self._attempts = 0
        self._next = now

    @property
    def is_over(self) -> bool:
        return self.mapped is not None or self._attempts > ATTEMPTS

    def next_deadline(self) -> float | None:
        return None if self.is_over else self._next

    def due(self, now: float) -> bool:
        """Whether to send `request` now; counts the attempt."""
        if self.is_over or now < self._next:
            return False
        self._attempts += 1
        self._next = now + FIRST_S * 2 ** (self._attempts - 1)
        return self._attempts <= ATTEMPTS

    def answered(self, message: Message, source: Address) -> bool:
        """Whether this was the answer."""
        if message.transaction != self._transaction or source[:2] != self.server[:2]:
            return False
        value = message.get(XOR_MAPPED_ADDRESS)
        if message.type == BINDING | SUCCESS and value is not None:
            self.mapped = decode_xor(value, self._transaction)
        return self.mapped is not None
