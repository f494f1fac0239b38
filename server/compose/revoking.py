"""Who has no login any more has no relay either."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from media.connections import RevokeUser
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import SessionId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from signaling.tickets import TICKET_S
from storage.api import Accounts

KEPT = 10_000
"""Users whose revocation a media process that starts again is told; the oldest go first."""

log = get_logger(__name__)


class Relays(Protocol):
    """Of `server.compose.media.MediaPart`, what is needed here."""

    on_ready: list[Callable[[], None]]

    def command(self, command: RevokeUser) -> None: ...


class Revoking:
    """A ticket for TURN names a user, not a login, and is good for a day: while he has another
    login its calls go on with it. With the last one his tickets and allocations end, also at a
    media process that starts later.
    """

    def __init__(
        self, media: Relays, accounts: Accounts, *, clock: Clock, tasks: TaskOwner
    ) -> None:
        self._revoked: dict[UserId, int] = {}
        media.on_ready.append(self._again)
        self._media = media
        self._accounts = accounts
        self._clock = clock
        self._tasks = tasks

    def sessions_ended(self, session_ids: Collection[SessionId]) -> None:
        """At whichever node."""
        self._tasks.start(self._revoke(tuple(session_ids)), "revoking")

    async def _revoke(self, session_ids: Collection[SessionId]) -> None:
        try:
            for user_id in await self._logged_out(session_ids):
                until = self._clock.now_ms() // 1000 + TICKET_S
                self._revoked.pop(user_id, None)
                self._revoked[user_id] = until
                self._media.command(RevokeUser(user_id, until))
            while len(self._revoked) > KEPT:
                del self._revoked[next(iter(self._revoked))]
        except Unavailable:
            log.warning("relays.not_revoked", sessions=len(session_ids))

    def _again(self) -> None:
        now_s = self._clock.now_ms() // 1000
        self._revoked = {user: until for user, until in self._revoked.items() if until > now_s}
        for user_id, until in self._revoked.items():
            self._media.command(RevokeUser(user_id, until))

    async def _logged_out(self, session_ids: Collection[SessionId]) -> set[UserId]:
        users = set()
        for session_id in session_ids:
            row = await self._accounts.session(session_id)
            if row is not None:
                users.add(row.user_id)
        now = self._clock.now_ms()
        return {
            user_id
            for user_id in users
            if not any(
                one.ended_at is None and one.expires_at > now
                for one in await self._accounts.sessions_of(user_id)
            )
        }
