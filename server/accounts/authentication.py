"""Whose an access token is: verified once, then remembered by its hash until it is over."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Collection
from dataclasses import dataclass

from crypto.tokens import BadToken, Claims
from server.accounts.keys import Keys
from server.kernel.clock import Clock
from server.kernel.errors import Unauthorized
from server.kernel.events import Context
from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import Accounts

REMEMBERED = 100_000
"""Tokens in memory, about 1 KiB each; past it the one verified first is verified again."""
ENDED_REMEMBERED = 10_000
RECHECK_S = 0.9
"""How long a session is believed without asking the store: another process (the command line, a
node) may have ended it, and a revoked token must be refused within 1 s (PROTOCOL section 5)."""


@dataclass(slots=True)
class _Known:
    ctx: Context
    claims: Claims
    checked_at: float


class Authenticator:
    """`authenticate` answers at once for a token it checked lately, else it asks the store."""

    def __init__(self, store: Accounts, keys: Keys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._by_session: dict[SessionId, set[bytes]] = {}
        self._ended: dict[SessionId, None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def authenticate(self, token: str) -> Context | Awaitable[Context]:
        """The caller, or an awaitable of him when the store has to be asked.

        Raises:
            Unauthorized: no token of ours, expired, or its session is over; from the call or from
                the awaitable.
        """
        digest = hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=16).digest()
        known = self._known.get(digest)
        now_s = self._clock.now_ms() / 1000
        if known is None:
            try:
                claims = self._keys.access.verify(token, now_s)
            except BadToken:
                raise _refused() from None
            return self._check(digest, claims, _context(claims))
        if now_s >= known.claims.exp:
            self._drop(digest)
            raise _refused()
        if self._clock.monotonic() - known.checked_at < RECHECK_S:
            return known.ctx
        return self._check(digest, known.claims, known.ctx)

    def forget(self, session_ids: Collection[SessionId]) -> None:
        """These sessions are over: none of their tokens is taken from this moment on."""
        for session_id in session_ids:
            for digest in tuple(self._by_session.get(session_id, ())):
                self._drop(digest)
            self._ended[session_id] = None
            if len(self._ended) > ENDED_REMEMBERED:
                del self._ended[next(iter(self._ended))]

    async def _check(self, digest: bytes, claims: Claims, ctx: Context) -> Context:
        asked_at = self._clock.monotonic()
        row = await self._store.session(ctx.session_id)
        now = self._clock.now_ms()
        if row is None or not row.is_open(now) or ctx.session_id in self._ended:
            self._drop(digest)
            raise _refused()
        if claims.gen > row.used_generation:
            await self._store.use_session(ctx.session_id, generation=claims.gen, now_ms=now)
            if ctx.session_id in self._ended:
                raise _refused()
        self._remember(digest, _Known(ctx, claims, asked_at))
        return ctx

    def _remember(self, digest: bytes, known: _Known) -> None:
        self._known[digest] = known
        self._by_session.setdefault(known.ctx.session_id, set()).add(digest)
        if len(self._known) > REMEMBERED:
            self._drop(next(iter(self._known)))

    def _drop(self, digest: bytes) -> None:
        known = self._known.pop(digest, None)
        if known is None:
            return
        of_session = self._by_session[known.ctx.session_id]
        of_session.discard(digest)
        if not of_session:
            del self._by_session[known.ctx.session_id]


def _context(claims: Claims) -> Context:
    return Context(
        UserId(claims.sub), DeviceId(claims.dev), SessionId(claims.sid), admin=claims.adm
    )


def _refused() -> Unauthorized:
    return Unauthorized("Your access token is not valid (any more). Refresh it or log in again.")
