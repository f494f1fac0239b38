"""Whose login has ended has left his calls, and with his last one he has no relay either."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import DeviceId, SessionId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Accounts

log = get_logger(__name__)


class InCalls(Protocol):
    """Of `signaling.service.Calls`, what is needed here."""

    def device_out(self, user_id: UserId, device_id: DeviceId) -> None: ...


class OnRelays(Protocol):
    """Of `server.compose.revoking.Revoking`, what is needed here."""

    def user_out(self, user_id: UserId) -> None: ...


class Logouts:
    """Devices and users with another login stay: the store is asked once, for calls and relays."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        calls: InCalls | None,
        relays: OnRelays | None,
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        self._accounts = accounts
        self._calls = calls
        self._relays = relays
        self._clock = clock
        self._tasks = tasks

    def sessions_ended(self, session_ids: Collection[SessionId]) -> None:
        """At whichever node."""
        self._tasks.start(self._tell(tuple(session_ids)), "logouts")

    async def _tell(self, session_ids: Collection[SessionId]) -> None:
        try:
            for user_id, devices in (await self._devices(session_ids)).items():
                await self._tell_of(user_id, devices)
        except Unavailable:  # their sockets are closed: the grace ends the calls
            log.warning("logouts.not_told", sessions=len(session_ids))

    async def _devices(self, session_ids: Collection[SessionId]) -> dict[UserId, set[DeviceId]]:
        """Those of the sessions, by user."""
        found: dict[UserId, set[DeviceId]] = {}
        for session_id in session_ids:
            row = await self._accounts.session(session_id)
            if row is not None:
                found.setdefault(row.user_id, set()).add(row.device_id)
        return found

    async def _tell_of(self, user_id: UserId, devices: set[DeviceId]) -> None:
        now = self._clock.now_ms()
        sessions = await self._accounts.sessions_of(user_id)
        logged_in = {one.device_id for one in sessions if one.is_open(now)}
        if self._relays is not None and not logged_in:
            self._relays.user_out(user_id)
        if self._calls is not None:
            for device_id in devices - logged_in:
                self._calls.device_out(user_id, device_id)
