"""Who a username is: a fixed account, or a time-limited one that carries its own expiry."""

from __future__ import annotations

import base64
import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from media.wire.attributes import userhash
from server.kernel.logs import Secret

USERNAME_BYTES = 508
"""RFC 8489, section 14.3: less than 509 bytes."""


@dataclass(frozen=True, slots=True)
class Account:
    """`user_id` is what quotas count by: all of one person's tickets together."""

    username: str
    user_id: str
    password: str = field(repr=False)


def ticket_password(secret: Secret, username: str) -> str:
    """Base64 of HMAC-SHA1 over the username `expiry:user_id`; expiry in Unix seconds."""
    proof = hmac.digest(secret.reveal().encode(), username.encode(), "sha1")
    return base64.b64encode(proof).decode()


class Credentials:
    """Looks accounts up. Knows a bounded number of tickets by their hash (USERHASH)."""

    def __init__(
        self,
        realm: str,
        *,
        secrets: tuple[Secret, ...],
        users: Mapping[str, Secret],
        tickets: int = 10_000,
    ) -> None:
        self._realm = realm
        self._secrets = secrets
        self._users = {name: _opaque(password.reveal()) for name, password in users.items()}
        self._fixed_hashes = {userhash(name, realm): name for name in users}
        self._ticket_hashes: dict[bytes, str] = {}
        self._tickets = tickets
        self._revoked: dict[str, int] = {}

    def issued(self, username: str) -> None:
        hashed = userhash(username, self._realm)
        self._ticket_hashes.pop(hashed, None)
        self._ticket_hashes[hashed] = username
        if len(self._ticket_hashes) > self._tickets:
            del self._ticket_hashes[next(iter(self._ticket_hashes))]

    def revoked(self, user_id: str, until: int) -> None:
        """Tickets of his that expire by then, in Unix seconds, are not his any more. Of the users
        that this was said of the last are known, as many as tickets.
        """
        self._revoked.pop(user_id, None)
        self._revoked[user_id] = until
        if len(self._revoked) > self._tickets:
            del self._revoked[next(iter(self._revoked))]

    def name_of(self, username: bytes | None, hashed: bytes | None) -> str | None:
        """The username that the attributes mean; None: unreadable, or an unknown hash."""
        if username is None:
            known = self._fixed_hashes.get(hashed or b"")
            return known or self._ticket_hashes.get(hashed or b"")
        if not 0 < len(username) <= USERNAME_BYTES:
            return None
        try:
            return username.decode()
        except UnicodeDecodeError:
            return None

    def accounts(self, username: str, unix_s: float) -> tuple[Account, ...]:
        """One for each password that may be right; none: unknown, malformed, expired, revoked."""
        fixed = self._users.get(username)
        if fixed is not None:
            return (Account(username, username, fixed),)
        expiry, mark, user_id = username.partition(":")
        if not mark or not user_id or not (expiry.isascii() and expiry.isdigit()):
            return ()
        # 20 digits are past any clock; int() of a hostile length would cost time.
        if len(expiry) > 20 or int(expiry) <= max(unix_s, self._revoked.get(user_id, 0)):
            return ()
        return tuple(
            Account(username, user_id, ticket_password(secret, username))
            for secret in self._secrets
        )


def _opaque(password: str) -> str:
    """OpaqueString of RFC 8265: composed form."""
    return unicodedata.normalize("NFC", password)
