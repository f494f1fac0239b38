"""Who has no login any more has no relay either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from media.connections import RevokeUser
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import UserId
from server.kernel.tasks import TaskOwner
from signaling.tickets import TICKET_S
from storage.api import Accounts

MOST = 10_000
"""Users whose revocation a media process that starts is told: the last ones."""
AGAIN_S = 5.0


class Relays(Protocol):
    """Of `server.compose.media.MediaPart`, what is needed here."""

    on_ready: list[Callable[[], None]]

    def command(self, command: RevokeUser) -> None: ...


class Revoking:
    """A ticket for TURN names a user, not a login, and is good for a day: while he has another
    login its calls go on with it. With the last one his tickets and allocations end, also at a
    media process that starts later, whoever logged him out.
    """

    def __init__(
        self, media: Relays, accounts: Accounts, *, clock: Clock, tasks: TaskOwner,
        again_s: float = AGAIN_S,
    ) -> None:  # fmt: skip
        media.on_ready.append(self._started)
        self._media = media
        self._accounts = accounts
        self._clock = clock
        self._tasks = tasks
        self._again_s = again_s

    def user_out(self, user_id: UserId) -> None:
        """His last login has ended now. To be called at every node."""
        self._tell(user_id, self._clock.now_ms())

    def _started(self) -> None:
        self._tasks.start(self._revoke_again(), "revoking")

    async def _revoke_again(self) -> None:
        while True:
            now_ms = self._clock.now_ms()
            since_ms = now_ms - TICKET_S * 1000
            try:
                gone = await self._accounts.logged_out(since_ms=since_ms, now_ms=now_ms, limit=MOST)
            except Unavailable:
                await asyncio.sleep(self._again_s)
                continue
            for user_id, ended_at in gone.items():
                self._tell(user_id, ended_at)
            return

    def _tell(self, user_id: UserId, ended_at: int) -> None:
        self._media.command(RevokeUser(user_id, ended_at // 1000 + TICKET_S))
