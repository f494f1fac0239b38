"""Whose login has ended has left his calls: he is not waited for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import DeviceId, SessionId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Accounts, SessionRow

log = get_logger(__name__)


class InCalls(Protocol):
    """Of `signaling.service.Calls`, what is needed here."""

    def device_out(self, user_id: UserId, device_id: DeviceId) -> None: ...


class Logouts:
    """A device leaves its calls with its last login: it may have more than one."""

    def __init__(
        self, calls: InCalls, accounts: Accounts, *, clock: Clock, tasks: TaskOwner
    ) -> None:
        self._calls = calls
        self._accounts = accounts
        self._clock = clock
        self._tasks = tasks

    def sessions_ended(self, session_ids: Collection[SessionId]) -> None:
        """At whichever node."""
        self._tasks.start(self._leave(tuple(session_ids)), "logouts")

    async def _leave(self, session_ids: Collection[SessionId]) -> None:
        try:
            for session_id in session_ids:
                row = await self._accounts.session(session_id)
                if row is not None and not await self._is_logged_in(row):
                    self._calls.device_out(row.user_id, row.device_id)
        except Unavailable:  # their sockets are closed: the grace ends it
            log.warning("calls.not_left", sessions=len(session_ids))

    async def _is_logged_in(self, ended: SessionRow) -> bool:
        now = self._clock.now_ms()
        return any(
            one.device_id == ended.device_id and one.is_open(now)
            for one in await self._accounts.sessions_of(ended.user_id)
        )
