"""Access tokens (signed), refresh tokens and one-time codes (derived by a key).

An access token is a JWS in compact form (RFC 7515): `header.payload.signature`, Ed25519 (RFC 8037).
There is one header for each key and it is compared as bytes, so no algorithm is ever chosen by the
sender. A refresh token is `session_id.generation.mac`: the server can make it again, so it stores
none.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import msgspec
from nacl.bindings import crypto_sign_BYTES
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from crypto import base64url

MAX_TOKEN_BYTES = 1024
"""Ours have about 350; anything longer is not read at all."""
KEY_BYTES = 32
MAC_BYTES = 24


class BadToken(Exception):
    """Not a token of ours, or over. Says no more than that."""


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an access token says. `exp`: seconds since the Unix epoch, exclusive."""

    sub: str
    dev: str
    sid: str
    gen: int
    exp: int
    adm: bool = False


class AccessTokens:
    """Signs with the first key, verifies with each.

    Args:
        seeds: Ed25519 seeds of 32 bytes, the current one first; older ones only verify.
    """

    def __init__(self, seeds: Sequence[bytes]) -> None:
        keys = [SigningKey(seed) for seed in seeds]
        self._signer = keys[0]
        self._header = _header_of(keys[0].verify_key)
        self._verifiers = {_header_of(key.verify_key): key.verify_key for key in keys}
        self._decoder = msgspec.json.Decoder(Claims)

    def sign(self, claims: Claims) -> str:
        signed = self._header + b"." + base64url.encode(msgspec.json.encode(claims))
        signature = self._signer.sign(signed).signature
        return (signed + b"." + base64url.encode(signature)).decode("ascii")

    def verify(self, token: str, now_s: float) -> Claims:
        """Raises BadToken: malformed, of another key, forged, or expired at `now_s` (Unix)."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise BadToken
        signed, dot, signature = token.encode("ascii").rpartition(b".")
        header, _, payload = signed.partition(b".")
        key = self._verifiers.get(header)
        if key is None or not dot:
            raise BadToken
        try:
            raw = base64url.decode(signature)
            if len(raw) != crypto_sign_BYTES:
                raise BadToken
            key.verify(signed, raw)
            claims = self._decoder.decode(base64url.decode(payload))
        except (ValueError, BadSignatureError, msgspec.MsgspecError):
            raise BadToken from None
        if now_s >= claims.exp:
            raise BadToken
        return claims


class RefreshTokens:
    """Derives the refresh token of each generation of a session by a server key.

    Layout: session id, dot, generation in decimal, dot, base64url of 24 bytes of keyed BLAKE2b.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def derive(self, session_id: str, generation: int) -> str:
        return f"{session_id}.{generation}.{self._mac(session_id, generation)}"

    def read(self, token: str) -> tuple[str, int]:
        """The session id and generation. Raises BadToken: this server never made it."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise BadToken
        session_id, _, rest = token.partition(".")
        number, _, mac = rest.partition(".")
        if not number.isdigit() or len(number) > 15 or str(int(number)) != number:
            raise BadToken
        if not hmac.compare_digest(mac, self._mac(session_id, int(number))):
            raise BadToken
        return session_id, int(number)

    def _mac(self, session_id: str, generation: int) -> str:
        message = f"{session_id}.{generation}".encode()
        return base64url.encode(keyed_digest(self._key, b"refresh", message)).decode("ascii")


def keyed_digest(key: bytes, purpose: bytes, message: bytes) -> bytes:
    """24 bytes of BLAKE2b, keyed (at most 64 bytes) and bound to a purpose (at most 16 bytes)."""
    return hashlib.blake2b(message, digest_size=MAC_BYTES, key=key, person=purpose).digest()


def code_hash(code: str) -> str:
    """What is stored of a random code of at least 80 bits (so without salt): sha256 hex."""
    return hashlib.sha256(code.encode("utf-8")).hexdigest()


def _header_of(key: VerifyKey) -> bytes:
    kid = base64url.encode(hashlib.blake2b(bytes(key), digest_size=8).digest()).decode("ascii")
    return base64url.encode(msgspec.json.encode({"alg": "EdDSA", "kid": kid, "typ": "at+jwt"}))
