"""What time does to logs: expired content goes at its time, old content by retention."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from server.chat.commands import DAY_MS, Command, Desk, Drafter, Plan
from server.chat.fold import SYSTEM
from server.chat.messages import EMPTY, with_edits
from server.chat.state import RoomState
from server.kernel.clock import Clock
from server.kernel.config import Log
from server.kernel.errors import NotFound, Unavailable
from server.kernel.events import Context
from server.kernel.ids import DeviceId, RoomId, Seq, SessionId
from server.kernel.logs import get_logger
from storage.api import Change, Event, PutGone, Store

EXPIRY_EVERY_S = 1.0
RETENTION_EVERY_S = 3600.0
DUE_AT_ONCE = 200
DELETES_AT_ONCE = 50

log = get_logger(__name__)

CarryOut = Callable[[RoomId, Command], Awaitable[Any]]


class Upkeep:
    """Finds what is due and hands it to the rooms' writers."""

    def __init__(self, store: Store, clock: Clock, config: Log, carry_out: CarryOut) -> None:
        self._store = store
        self._clock = clock
        self._config = config
        self._carry_out = carry_out
        self._expiry_at = 0.0
        self._retention_at = 0.0

    async def tick(self) -> None:
        now = self._clock.monotonic()
        try:
            if now >= self._expiry_at:
                self._expiry_at = now + EXPIRY_EVERY_S
                await self.expire()
            if now >= self._retention_at:
                self._retention_at = now + RETENTION_EVERY_S
                await self.retain()
        except Unavailable:
            log.warning("upkeep.postponed")

    async def expire(self) -> None:
        """Blank what is due."""
        before: list[tuple[RoomId, Seq]] = []
        while due := await self._store.log.due(self._clock.now_ms(), DUE_AT_ONCE):
            for room_id, seqs in _by_room(due).items():
                await self._do(room_id, Expire(SYSTEM_CONTEXT, seqs))
            if len(due) < DUE_AT_ONCE or due == before:
                return
            before = due

    async def retain(self) -> None:
        """Blank what is older than the operator keeps, and forget claims nobody can repeat."""
        now_ms = self._clock.now_ms()
        await self._store.log.drop_claims(now_ms - self._config.dedup_days * DAY_MS)
        if self._config.retention_days <= 0:
            return
        before = now_ms - self._config.retention_days * DAY_MS
        last: list[tuple[RoomId, Seq]] = []
        while old := await self._store.log.older_than(before, DELETES_AT_ONCE):
            if old == last:
                return
            for room_id, seqs in _by_room(old).items():
                await self._do(room_id, Retain(SYSTEM_CONTEXT, seqs))
            last = old

    async def _do(self, room_id: RoomId, command: Command) -> None:
        try:
            await self._carry_out(room_id, command)
        except NotFound:
            log.warning("upkeep.room_missing", room_id=room_id)


def _by_room(found: list[tuple[RoomId, Seq]]) -> dict[RoomId, list[Seq]]:
    rooms: dict[RoomId, list[Seq]] = {}
    for room_id, seq in found:
        rooms.setdefault(room_id, []).append(seq)
    return rooms


class Expire(Command):
    """Blank rows whose time is over. Clients do it themselves, so nothing is announced."""

    __slots__ = ("seqs",)

    def __init__(self, by: Context, seqs: list[Seq]) -> None:
        super().__init__(by)
        self.seqs = seqs

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        rows = await desk.store.log.rows(state.room_id, self.seqs)
        blanks = set(rows)
        extra: list[Change] = []
        for seq, row in sorted(rows.items()):
            if row.type == "message":
                blanks.update(await with_edits(state, seq, desk))
                extra.append(PutGone(seq, "expired"))
        return Plan(blanks=tuple((seq, "expired") for seq in sorted(blanks)), extra=tuple(extra))


class Retain(Command):
    """Append a delete for each message and blank it with its edits."""

    __slots__ = ("seqs",)

    def __init__(self, by: Context, seqs: list[Seq]) -> None:
        super().__init__(by)
        self.seqs = seqs

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        rows = await desk.store.log.rows(state.room_id, self.seqs)
        drafter = Drafter(state, desk.ids, now_ms)
        events: list[Event] = []
        blanks: set[Seq] = set()
        for seq, row in sorted(rows.items()):
            blanks.add(seq)
            if row.type == "message" and row.gone is None:
                blanks.update(await with_edits(state, seq, desk))
                sender = (SYSTEM, DeviceId("system"))
                events.append(drafter.draft("delete", sender, EMPTY, target_seq=seq))
        return Plan(tuple(events), blanks=tuple((seq, "erased") for seq in sorted(blanks)))


SYSTEM_CONTEXT = Context(SYSTEM, DeviceId("system"), SessionId(""))
