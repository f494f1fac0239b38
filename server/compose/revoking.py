"""Who has no login any more has no relay either."""

from __future__ import annotations

from collections.abc import Collection

from media.connections import RevokeUser
from server.compose.media import MediaPart
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import SessionId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from signaling.tickets import TICKET_S
from storage.api import Accounts

log = get_logger(__name__)


class Revoking:
    """A ticket for TURN names a user, not a login, and is good for a day: while he has another
    login its calls go on with it. With the last one his tickets and allocations end.
    """

    def __init__(
        self, media: MediaPart, accounts: Accounts, *, clock: Clock, tasks: TaskOwner
    ) -> None:
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
                self._media.command(RevokeUser(user_id, until))
        except Unavailable:
            log.warning("relays.not_revoked", sessions=len(session_ids))

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
