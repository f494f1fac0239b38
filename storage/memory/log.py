"""Room logs as lists: row `seq` of a room stands at index seq - first_seq."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from server.kernel.ids import LogId, RoomId, Seq, UserId, uuid7
from storage.api import Batch, Claim, Event, EventType, Gone, LogHead, Refused
from storage.memory.gate import Gate, done

Key = tuple[UserId, str]
RETAINED_TYPES = ("message", "edit")
"""What retention blanks: the types whose content people wrote."""


@dataclass
class _Log:
    """`base_n`: n at first_seq - 1. `message_seqs`: ascending, for the view that skips the rest."""

    log_id: LogId
    first_seq: int = 1
    base_n: int = 0
    rows: list[Event] = field(default_factory=list)
    message_seqs: list[int] = field(default_factory=list)
    claims: dict[Key, Claim] = field(default_factory=dict)

    @property
    def head(self) -> Seq:
        return Seq(self.first_seq + len(self.rows) - 1)

    @property
    def n(self) -> int:
        return self.rows[-1].n if self.rows else self.base_n

    def row(self, seq: int) -> Event | None:
        index = seq - self.first_seq
        return self.rows[index] if 0 <= index < len(self.rows) else None

    def blank(self, seq: int, gone: Gone) -> None:
        row = self.row(seq)
        if row is not None and row.gone is None:
            self.rows[seq - self.first_seq] = blanked(row, gone)


class MemoryLog:
    """Implements `storage.api.RoomLog`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._logs: dict[RoomId, _Log] = {}

    async def create(self, room_id: RoomId, log_id: LogId) -> bool:
        self._gate.check()
        if room_id in self._logs:
            return False
        self._logs[room_id] = _Log(log_id)
        return True

    async def heads(self, room_ids: Collection[RoomId]) -> dict[RoomId, LogHead]:
        self._gate.check()
        known = {room_id: self._logs[room_id] for room_id in room_ids if room_id in self._logs}
        return {
            room_id: LogHead(log.log_id, log.head, Seq(log.first_seq), log.n)
            for room_id, log in known.items()
        }

    def append(self, batch: Batch) -> asyncio.Future[Refused | None]:
        self._gate.check()
        log = self._logs[batch.room_id]
        check_order(batch)
        keys = {(claim.sender_id, claim.client_id) for claim in batch.claims}
        taken = {key: log.claims[key] for key in keys if key in log.claims}
        if taken or log.head != batch.if_head:
            return done(Refused(log.head, taken))
        for event in batch.events:
            log.rows.append(event)
            if event.type == "message":
                log.message_seqs.append(event.seq)
        log.claims.update({(claim.sender_id, claim.client_id): claim for claim in batch.claims})
        for seq, gone in batch.blanks:
            log.blank(seq, gone)
        return done(None)

    async def read(
        self,
        room_id: RoomId,
        *,
        after: Seq = Seq(0),
        before: Seq | None = None,
        limit: int,
        newest: bool = False,
        messages: bool = False,
        max_bytes: int = 262_144,
    ) -> tuple[list[Event], bool]:
        self._gate.check()
        log = self._logs.get(room_id)
        if log is None:
            return [], False
        low = max(after + 1, log.first_seq)
        high = log.head + 1 if before is None else min(before, log.head + 1)
        seqs: Sequence[int] = range(low, high)
        if messages:
            start, end = (bisect_left(log.message_seqs, seq) for seq in (low, high))
            seqs = log.message_seqs[start : max(start, end)]
        found = (log.rows[seq - log.first_seq] for seq in (reversed(seqs) if newest else seqs))
        page, more = take_page(found, limit, max_bytes)
        return (page[::-1] if newest else page), more

    async def rows(self, room_id: RoomId, seqs: Collection[Seq]) -> dict[Seq, Event]:
        self._gate.check()
        log = self._logs.get(room_id)
        found = [] if log is None else [log.row(seq) for seq in seqs]
        return {row.seq: row for row in found if row is not None}

    async def counts(self, points: Collection[tuple[RoomId, Seq]]) -> dict[tuple[RoomId, Seq], int]:
        self._gate.check()
        return {(room_id, seq): self._count(room_id, seq) for room_id, seq in points}

    async def claims(self, room_id: RoomId, keys: Collection[Key]) -> dict[Key, Claim]:
        self._gate.check()
        log = self._logs.get(room_id)
        return {} if log is None else {key: log.claims[key] for key in keys if key in log.claims}

    async def targeting(self, room_id: RoomId, target_seq: Seq, type: EventType) -> list[Seq]:
        self._gate.check()
        log = self._logs.get(room_id)
        rows = [] if log is None else log.rows
        return [row.seq for row in rows if row.type == type and row.target_seq == target_seq]

    async def blank(self, room_id: RoomId, seqs: Collection[Seq], gone: Gone) -> None:
        self._gate.check()
        log = self._logs.get(room_id)
        for seq in seqs if log is not None else ():
            assert log is not None
            log.blank(seq, gone)

    async def due(self, now_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        self._gate.check()
        rows = [r for r in self._kept() if r.expires_at is not None and r.expires_at <= now_ms]
        rows.sort(key=lambda row: row.expires_at or 0)
        return [(row.room_id, row.seq) for row in rows[:limit]]

    async def older_than(self, at_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        self._gate.check()
        rows = [row for row in self._kept() if row.type in RETAINED_TYPES and row.at < at_ms]
        rows.sort(key=lambda row: row.at)
        return [(row.room_id, row.seq) for row in rows[:limit]]

    async def drop_before(self, room_id: RoomId, seq: Seq) -> None:
        self._gate.check()
        log = self._logs.get(room_id)
        if log is None or seq <= log.first_seq:
            return
        seq = min(seq, Seq(log.head + 1))
        log.base_n = self._count(room_id, Seq(seq - 1))
        del log.rows[: seq - log.first_seq]
        log.first_seq = seq
        del log.message_seqs[: bisect_left(log.message_seqs, seq)]

    async def drop_claims(self, before_ms: int) -> int:
        self._gate.check()
        dropped = 0
        for log in self._logs.values():
            kept = {
                key: claim
                for key, claim in log.claims.items()
                if claim.at >= before_ms or claim.seq >= log.first_seq
            }
            dropped += len(log.claims) - len(kept)
            log.claims = kept
        return dropped

    async def renew(self) -> None:
        self._gate.check()
        for log in self._logs.values():
            log.log_id = fresh_log_id()
            log.rows = [msgspec.structs.replace(row, log_id=log.log_id) for row in log.rows]

    async def room_ids(self) -> list[RoomId]:
        self._gate.check()
        return sorted(self._logs)

    def head_of(self, room_id: RoomId) -> Seq:
        """For the projections beside it: 0 when there is no log."""
        log = self._logs.get(room_id)
        return Seq(0) if log is None else log.head

    def _kept(self) -> Iterator[Event]:
        return (row for log in self._logs.values() for row in log.rows if row.gone is None)

    def _count(self, room_id: RoomId, seq: Seq) -> int:
        log = self._logs.get(room_id)
        if log is None or seq <= 0:
            return 0
        if seq < log.first_seq:
            return log.base_n
        row = log.row(seq)
        return log.n if row is None else row.n


def check_order(batch: Batch) -> None:
    """The seqs of a batch follow its condition. Raises ValueError."""
    for seq, event in enumerate(batch.events, batch.if_head + 1):
        if event.seq != seq:
            raise ValueError(f"event {event.seq} stands where {seq} belongs")


def blanked(row: Event, gone: Gone) -> Event:
    return msgspec.structs.replace(row, content=None, mentions=None, file_ids=(), gone=gone)


def take_page(rows: Iterable[Event], limit: int, max_bytes: int) -> tuple[list[Event], bool]:
    """The first rows within both bounds, at least one; and whether there are more."""
    page: list[Event] = []
    size = 0
    for row in rows:
        size += 0 if row.content is None else len(bytes(row.content))
        if len(page) == limit or (page and size > max_bytes):
            return page, True
        page.append(row)
    return page, False


def fresh_log_id() -> LogId:
    """A log id that never was. Undated: it orders nothing."""
    return LogId(uuid7(0, os.urandom))
