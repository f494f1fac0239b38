"""Nonces that need no table: they carry their end and a proof that they are ours."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Literal

from media.turn.exchange import Flow
from media.wire.attributes import encode_features

_PROOF_BYTES = 11
"""4 bytes of time and 11 of proof are 20 characters of base64: see settings.REALM_BYTES."""


class Nonces:
    """A nonce is 13 characters of cookie and features, then base64 of: 4 bytes end (seconds), 11
    bytes HMAC-SHA256 over features, end and flow. It is good for one flow and `lifetime_s`.
    """

    def __init__(self, secret: bytes, *, lifetime_s: float, features: int) -> None:
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._start = encode_features(features)

    def issue(self, flow: Flow, now: float) -> bytes:
        end = int(now + self._lifetime_s).to_bytes(4, "big")
        return self._start + base64.b64encode(end + self._proof(end, flow))

    def check(self, nonce: bytes, flow: Flow, now: float) -> Literal["good", "stale", "foreign"]:
        """`foreign` covers another flow's, another server's and rubbish; all get a new one."""
        if not nonce.startswith(self._start):
            return "foreign"
        try:
            body = base64.b64decode(nonce[len(self._start) :], validate=True)
        except binascii.Error:
            return "foreign"
        end, proof = body[:4], body[4:]
        if not hmac.compare_digest(self._proof(end, flow), proof):
            return "foreign"
        return "good" if now < int.from_bytes(end, "big") else "stale"

    def _proof(self, end: bytes, flow: Flow) -> bytes:
        path, client = flow
        text = f"{path} {client[0]} {client[1]}".encode()
        return hmac.digest(self._secret, self._start + end + text, "sha256")[:_PROOF_BYTES]
