"""Room logs in SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import apsw

from server.kernel.ids import LogId, RoomId, Seq, UserId
from storage.api import Batch, Claim, Event, EventType, Gone, LogHead, Refused
from storage.sqlite.connection import ask, listed, one
from storage.sqlite.pages import find_messages, find_rows
from storage.sqlite.readers import Readers
from storage.sqlite.renewal import renew_logs
from storage.sqlite.rows import (
    CLAIM_SELECT,
    EVENT_COLUMNS,
    SEQ_BITS,
    SEQ_MASK,
    TYPE_NUMBER,
    claim_of,
    event_of,
)
from storage.sqlite.transaction import HEADS_SELECT, Transaction
from storage.sqlite.writer import Writer

ROOM = "SELECT key, log_id, first_seq FROM rooms WHERE room_id = ? AND log_id IS NOT NULL"
ROWS = f"""SELECT {EVENT_COLUMNS} FROM (SELECT value AS wanted FROM json_each(?))
    CROSS JOIN events ON pos = wanted"""


class SqliteLog:
    """Implements `storage.api.RoomLog`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def create(self, room_id: RoomId, log_id: LogId) -> bool:
        def create(tx: Transaction) -> bool:
            tx.key(room_id)
            tx.forget_head(room_id)
            sql = "UPDATE rooms SET log_id = ? WHERE room_id = ? AND log_id IS NULL"
            return tx.execute(sql, (log_id, room_id)) == 1

        return await self._writer.submit(create)

    async def heads(self, room_ids: Collection[RoomId]) -> dict[RoomId, LogHead]:
        rows = await self._readers.run(lambda db: ask(db, HEADS_SELECT, (listed(room_ids),)))
        return {
            room_id: LogHead(LogId(log_id), Seq(head), Seq(first_seq), n)
            for room_id, _, log_id, first_seq, head, n, *_ in rows
            if log_id is not None
        }

    def append(self, batch: Batch) -> asyncio.Future[Refused | None]:
        for seq, event in enumerate(batch.events, batch.if_head + 1):
            if event.seq != seq:
                raise ValueError(f"event {event.seq} stands where {seq} belongs")
        return self._writer.submit(
            lambda tx: tx.append(batch), room_id=batch.room_id, batch=batch, alone=False
        )

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
        def read(db: apsw.Connection) -> tuple[list[Event], bool]:
            room = ask(db, ROOM, (room_id,))
            if not room:
                return [], False
            key, log_id, _ = room[0]
            low = (key << SEQ_BITS) + after
            high = (key << SEQ_BITS) + (SEQ_MASK + 1 if before is None else before)
            find = find_messages if messages else find_rows
            sized = find(db, low, high, limit + 1, newest=newest)
            page = _fitting(sized[:limit], max_bytes)
            rows = ask(db, ROWS, (listed(page),))
            rows.sort()
            return [event_of(row, room_id, log_id) for row in rows], len(page) < len(sized)

        return await self._readers.run(read)

    async def rows(self, room_id: RoomId, seqs: Collection[Seq]) -> dict[Seq, Event]:
        def rows(db: apsw.Connection) -> dict[Seq, Event]:
            room = ask(db, ROOM, (room_id,))
            if not room:
                return {}
            key, log_id, _ = room[0]
            keys = listed(key << SEQ_BITS | seq for seq in seqs)
            found = (event_of(row, room_id, log_id) for row in ask(db, ROWS, (keys,)))
            return {event.seq: event for event in found}

        return await self._readers.run(rows)

    async def counts(self, points: Collection[tuple[RoomId, Seq]]) -> dict[tuple[RoomId, Seq], int]:
        rows = await self._readers.run(lambda db: ask(db, COUNTS, (listed(points),)))
        found = {(RoomId(room_id), Seq(seq)): n for room_id, seq, n in rows}
        return {point: found.get(point, 0) for point in points}

    async def claims(
        self, room_id: RoomId, keys: Collection[tuple[UserId, str]]
    ) -> dict[tuple[UserId, str], Claim]:
        def claims(db: apsw.Connection) -> list[Claim]:
            room = one(db, ROOM, (room_id,))
            wanted = listed((client_id, room, sender_id) for sender_id, client_id in keys)
            return [claim_of(row) for row in ask(db, CLAIM_SELECT, (wanted,))]

        found = await self._readers.run(claims)
        return {(claim.sender_id, claim.client_id): claim for claim in found}

    async def targeting(self, room_id: RoomId, target_seq: Seq, type: EventType) -> list[Seq]:
        def targeting(db: apsw.Connection) -> list[Any]:
            key = one(db, ROOM, (room_id,))
            sql = "SELECT pos FROM events WHERE target_pos = ? AND type = ? ORDER BY pos"
            if key is None:
                return []
            return ask(db, sql, (key << SEQ_BITS | target_seq, TYPE_NUMBER[type]))

        return [Seq(pos & SEQ_MASK) for (pos,) in await self._readers.run(targeting)]

    async def blank(self, room_id: RoomId, seqs: Collection[Seq], gone: Gone) -> None:
        def blank(tx: Transaction) -> None:
            head = tx.head(room_id)
            if head is not None:
                tx.blank(head.key, [(seq, gone) for seq in seqs])

        await self._writer.submit(blank)

    async def due(self, now_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        return await self._find(
            "e.expires_at IS NOT NULL AND e.gone IS NULL AND e.expires_at <= ? "
            "ORDER BY e.expires_at",
            now_ms,
            limit,
        )

    async def older_than(self, at_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        return await self._find(
            "e.type < 2 AND e.gone IS NULL AND e.at < ? ORDER BY e.at", at_ms, limit
        )

    async def drop_before(self, room_id: RoomId, seq: Seq) -> None:
        def drop(tx: Transaction) -> None:
            head = tx.head(room_id)
            first = seq if head is None else min(seq, head.head + 1)
            if head is None or first <= head.first_seq:
                return
            base = head.key << SEQ_BITS
            n = tx.ask("SELECT n FROM events WHERE pos = ?", (base + first - 1,))[0][0]
            tx.execute(
                "UPDATE rooms SET first_seq = ?, base_n = ? WHERE key = ?", (first, n, head.key)
            )
            tx.execute("DELETE FROM events WHERE pos BETWEEN ? AND ?", (base, base + first - 1))
            tx.blanked = True
            tx.forget_head(room_id)

        await self._writer.submit(drop)

    async def drop_claims(self, before_ms: int) -> int:
        sql = """DELETE FROM claims WHERE at < ? AND
                 seq < (SELECT first_seq FROM rooms WHERE key = claims.room)"""
        return await self._writer.submit(lambda tx: tx.execute(sql, (before_ms,)))

    async def renew(self) -> None:
        def renew(tx: Transaction) -> None:
            tx.forget_heads()
            renew_logs(tx.connection)

        await self._writer.submit(renew)

    async def room_ids(self) -> list[RoomId]:
        sql = "SELECT room_id FROM rooms WHERE log_id IS NOT NULL ORDER BY room_id"
        rows = await self._readers.run(lambda db: ask(db, sql))
        return [room_id for (room_id,) in rows]

    async def _find(self, where: str, bound: int, limit: int) -> list[tuple[RoomId, Seq]]:
        sql = f"""SELECT r.room_id, f.pos FROM (SELECT pos FROM events e WHERE {where} LIMIT ?) f
                  CROSS JOIN rooms r ON r.key = f.pos >> {SEQ_BITS}"""
        rows = await self._readers.run(lambda db: ask(db, sql, (bound, limit)))
        return [(room_id, Seq(pos & SEQ_MASK)) for room_id, pos in rows]


COUNTS = """
    SELECT j.value ->> 0, j.value ->> 1,
           CASE WHEN j.value ->> 1 <= 0 THEN 0 ELSE coalesce(
               (SELECT n FROM events
                WHERE pos BETWEEN r.key << 32 AND (r.key << 32) + (j.value ->> 1)
                ORDER BY pos DESC LIMIT 1), r.base_n) END
    FROM json_each(?) j CROSS JOIN rooms r ON r.room_id = j.value ->> 0"""
"""n of the nearest row at or before each point; before the first row what was counted up to it."""


def _fitting(sized: Sequence[Sequence[int]], max_bytes: int) -> list[int]:
    """The keys of the first rows that fit together, at least one."""
    page: list[int] = []
    size = 0
    for pos, content_bytes in sized:
        size += content_bytes
        if page and size > max_bytes:
            break
        page.append(pos)
    return page
