"""One-time login codes: a secret in a link's fragment that becomes a session when exchanged.

They live in memory only: a restart makes all of them void.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from crypto.tokens import code_hash
from server.kernel.clock import Clock
from server.kernel.ids import UserId

MAX_LINKS = 1000
LIFETIME_S = 86_400.0


@dataclass(slots=True)
class _Link:
    user_id: UserId
    uses_left: int
    ends_at: float


class LoginLinks:
    """Codes of 192 random bits, kept as hashes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[str, _Link] = {}

    def issue(self, user_id: UserId, *, uses: int = 1, lifetime_s: float = LIFETIME_S) -> str:
        code = secrets.token_urlsafe(24)
        ends_at = self._clock.monotonic() + lifetime_s
        self._links[code_hash(code)] = _Link(user_id, uses, ends_at)
        if len(self._links) > MAX_LINKS:
            del self._links[next(iter(self._links))]
        return code

    def redeem(self, code: str) -> UserId | None:
        """The user, and one use is gone; None when the code is not (any more) valid."""
        key = code_hash(code)
        link = self._links.get(key)
        if link is None:
            return None
        link.uses_left -= 1
        if link.uses_left <= 0 or self._clock.monotonic() >= link.ends_at:
            del self._links[key]
        return link.user_id if self._clock.monotonic() < link.ends_at else None
