"""What the parts tell the bus: they know neither the bus nor what facts look like."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from server.bus import facts
from server.bus.wiring import BusPart
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import SessionId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Accounts, Event

log = get_logger(__name__)


class FactMaker:
    """Callbacks for chat and accounts. While nobody wants facts, none is made."""

    def __init__(self, bus: BusPart, accounts: Accounts, *, clock: Clock, tasks: TaskOwner) -> None:
        self._bus = bus
        self._accounts = accounts
        self._clock = clock
        self._tasks = tasks

    @property
    def kept(self) -> bool:
        """Some are not on the bus yet."""
        return self._bus.kept > 0

    def stored(self, events: Sequence[Event], after: asyncio.Future[Any] | None = None) -> None:
        if self._bus.wanted:
            self._bus.tell([facts.stored(event) for event in events], after=after)

    def user_created(self, user_id: UserId) -> None:
        if self._bus.wanted:
            self._bus.tell([facts.user_created(user_id, self._clock.now_ms())])

    def sessions_ended(self, session_ids: Collection[SessionId]) -> None:
        if self._bus.wanted:
            self._tasks.start(self._tell_ended(tuple(session_ids)), "facts.sessions")

    async def _tell_ended(self, session_ids: Sequence[SessionId]) -> None:
        for session_id in session_ids:
            try:
                row = await self._accounts.session(session_id)
            except Unavailable:
                log.warning("fact.not_made", session_id=session_id)
                continue
            if row is not None:
                at = row.ended_at or self._clock.now_ms()
                fact = facts.session_ended(
                    session_id, at, user_id=row.user_id, device_id=row.device_id
                )
                self._bus.tell([fact])
