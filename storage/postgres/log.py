"""Room logs in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from server.kernel.ids import LogId, RoomId, Seq, UserId
from storage.api import Batch, Claim, Event, EventType, Gone, LogHead, Refused
from storage.postgres.connections import Connection, Connections, Unstorable
from storage.postgres.groups import Groups
from storage.postgres.rows import EVENT_COLUMNS, GONE_NUMBER, TYPE_NUMBER, claim_of, event_of

AFTER_ALL = 2**62
DROP_STEP = 10_000
"""Rows that one statement deletes: about 50 ms."""
UPKEEP_LIMIT_S = 120.0
"""Upkeep reads more than a page, and nobody waits for it."""

PAGE = """
    SELECT p.log_id, {columns}, p.found FROM (
        SELECT l.log_id, e.*, count(*) OVER () AS found,
            row_number() OVER (ORDER BY e.seq {order}) AS i,
            sum(coalesce(octet_length(e.content), 0)) OVER (
                ORDER BY e.seq {order} ROWS UNBOUNDED PRECEDING) AS size
        FROM logs l CROSS JOIN LATERAL (
            SELECT * FROM events e
            WHERE e.log = l.key AND e.seq >= greatest($2 + 1, l.first_seq) AND e.seq < $3 {only}
            ORDER BY e.seq {order} LIMIT $4 + 1) e
        WHERE l.room_id = $1) p
    WHERE p.i <= $4 AND (p.i = 1 OR p.size <= $5) ORDER BY p.seq"""
"""Content is measured without being fetched; only what fits is. `found`: rows within the bounds,
at most one more than asked for.
"""

_PAGES = {
    (newest, messages): PAGE.format(
        columns=EVENT_COLUMNS.replace("e.", "p."),
        order="DESC" if newest else "ASC",
        only="AND e.type = 0" if messages else "",
    )
    for newest in (False, True)
    for messages in (False, True)
}
ROWS = f"""SELECT l.log_id, {EVENT_COLUMNS} FROM logs l JOIN events e ON e.log = l.key
    WHERE l.room_id = $1 AND e.seq = ANY ($2::bigint[]) AND e.seq >= l.first_seq"""
COUNTS = """
    SELECT g.room_id, g.seq, CASE WHEN g.seq <= 0 THEN 0 ELSE coalesce((
        SELECT e.n FROM events e WHERE e.log = l.key AND e.seq BETWEEN l.first_seq AND g.seq
        ORDER BY e.seq DESC LIMIT 1), l.base_n) END
    FROM unnest($1::text[], $2::bigint[]) AS g (room_id, seq)
    JOIN logs l ON l.room_id = g.room_id"""
"""n of the nearest row at or before each point; before the first row what was counted up to it."""
CLAIMS = """SELECT c.sender_id, c.client_id, c.seq, c.digest, c.at
    FROM unnest($2::text[], $3::text[]) AS g (sender_id, client_id)
    JOIN logs l ON l.room_id = $1 JOIN claims c
    ON c.client_id = g.client_id AND c.log = l.key AND c.sender_id = g.sender_id"""
BLANK = """UPDATE events e SET content = NULL, mentions = NULL, file_ids = NULL, gone = $3
    FROM logs l WHERE l.room_id = $1 AND e.log = l.key AND e.seq = ANY ($2::bigint[])
    AND e.gone IS NULL"""
DUE = """SELECT l.room_id, e.seq FROM (
        SELECT log, seq, expires_at FROM events
        WHERE expires_at IS NOT NULL AND gone IS NULL AND expires_at <= $1
        ORDER BY expires_at LIMIT $2) e
    JOIN logs l ON l.key = e.log ORDER BY e.expires_at"""
OLDER = """SELECT l.room_id, e.seq FROM (
        SELECT log, seq, at FROM events
        WHERE type < 2 AND gone IS NULL AND at < $1 ORDER BY at LIMIT $2) e
    JOIN logs l ON l.key = e.log ORDER BY e.at"""
DROP_CLAIMS = """DELETE FROM claims WHERE ctid = ANY (ARRAY(
    SELECT c.ctid FROM claims c JOIN logs l ON l.key = c.log
    WHERE c.at < $1 AND c.seq < l.first_seq LIMIT $2))"""


class PostgresLog:
    """Implements `storage.api.RoomLog`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._groups = Groups(connections)

    async def close(self) -> None:
        await self._groups.close()

    async def create(self, room_id: RoomId, log_id: LogId) -> bool:
        sql = "INSERT INTO logs (room_id, log_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        return await self._connections.execute(sql, room_id, log_id) == 1

    async def heads(self, room_ids: Collection[RoomId]) -> dict[RoomId, LogHead]:
        sql = """SELECT room_id, log_id, head, first_seq, n FROM logs
            WHERE room_id = ANY ($1::text[])"""
        return {row[0]: LogHead(*row[1:]) for row in await self._ask(sql, [*room_ids])}

    def append(self, batch: Batch) -> asyncio.Future[Refused | None]:
        for seq, event in enumerate(batch.events, batch.if_head + 1):
            if event.seq != seq:
                raise ValueError(f"event {event.seq} stands where {seq} belongs")
        return self._groups.submit(batch)

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
        high = AFTER_ALL if before is None else before
        sql = _PAGES[newest, messages]
        rows = await self._ask(sql, room_id, after, high, limit, max_bytes)
        return [event_of(row, room_id) for row in rows], bool(rows) and len(rows) < rows[0][-1]

    async def rows(self, room_id: RoomId, seqs: Collection[Seq]) -> dict[Seq, Event]:
        found = await self._ask(ROWS, room_id, [*seqs])
        return {row[1]: event_of(row, room_id) for row in found}

    async def counts(self, points: Collection[tuple[RoomId, Seq]]) -> dict[tuple[RoomId, Seq], int]:
        rooms, seqs = [room for room, _ in points], [seq for _, seq in points]
        found = {(room, seq): n for room, seq, n in await self._ask(COUNTS, rooms, seqs)}
        return {point: found.get(point, 0) for point in points}

    async def claims(
        self, room_id: RoomId, keys: Collection[tuple[UserId, str]]
    ) -> dict[tuple[UserId, str], Claim]:
        senders, client_ids = [sender for sender, _ in keys], [client_id for _, client_id in keys]
        rows = await self._ask(CLAIMS, room_id, senders, client_ids)
        found = [claim_of(row) for row in rows]
        return {(claim.sender_id, claim.client_id): claim for claim in found}

    async def targeting(self, room_id: RoomId, target_seq: Seq, type: EventType) -> list[Seq]:
        sql = """SELECT e.seq FROM logs l JOIN events e ON e.log = l.key
            WHERE l.room_id = $1 AND e.target_seq = $2 AND e.type = $3 AND e.seq >= l.first_seq
            ORDER BY e.seq"""
        return [seq for (seq,) in await self._ask(sql, room_id, target_seq, TYPE_NUMBER[type])]

    async def blank(self, room_id: RoomId, seqs: Collection[Seq], gone: Gone) -> None:
        await self._connections.execute(BLANK, room_id, [*seqs], GONE_NUMBER[gone])

    async def due(self, now_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        return [(room_id, seq) for room_id, seq in await self._ask(DUE, now_ms, limit)]

    async def older_than(self, at_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        return [(room_id, seq) for room_id, seq in await self._ask(OLDER, at_ms, limit)]

    async def drop_before(self, room_id: RoomId, seq: Seq) -> None:
        """The bound first, then the rows behind it step by step: what an interruption leaves is
        not seen any more, and goes with the next call.
        """

        async def raise_first(connection: Connection) -> tuple[int, int] | None:
            sql = "SELECT key, head, first_seq FROM logs WHERE room_id = $1 FOR UPDATE"
            row = await connection.fetchrow(sql, room_id)
            if row is None:
                return None
            key, head, first_seq = row
            first = min(seq, head + 1)
            if first <= first_seq:
                return key, first_seq
            n = "SELECT n FROM events WHERE log = $1 AND seq = $2"
            base_n = await connection.fetchval(n, key, first - 1)
            update = "UPDATE logs SET first_seq = $2, base_n = $3 WHERE key = $1"
            await connection.execute(update, key, first, base_n)
            return key, first

        bound = await self._connections.transaction(raise_first)
        sql = """DELETE FROM events WHERE log = $1 AND seq = ANY (ARRAY(
            SELECT seq FROM events WHERE log = $1 AND seq < $2 ORDER BY seq LIMIT $3))"""
        dropped = DROP_STEP
        while bound and dropped == DROP_STEP:
            dropped = await self._connections.execute(sql, *bound, DROP_STEP)

    async def drop_claims(self, before_ms: int) -> int:
        async def drop(connection: Connection) -> int:
            await connection.execute(f"SET LOCAL statement_timeout = {UPKEEP_LIMIT_S * 1000:.0f}")
            status = await connection.execute(DROP_CLAIMS, before_ms, DROP_STEP)
            return int(status.rpartition(" ")[2])

        total, step = 0, DROP_STEP
        while step == DROP_STEP:
            step = await self._connections.transaction(drop, limit_s=UPKEEP_LIMIT_S)
            total += step
        return total

    async def renew(self) -> None:
        async def renew(connection: Connection) -> None:
            await connection.execute(f"SET LOCAL statement_timeout = {UPKEEP_LIMIT_S * 1000:.0f}")
            await connection.execute("UPDATE logs SET log_id = gen_random_uuid()::text")

        await self._connections.transaction(renew, limit_s=UPKEEP_LIMIT_S)

    async def room_ids(self) -> list[RoomId]:
        return [room_id for (room_id,) in await self._ask("SELECT room_id FROM logs ORDER BY 1")]

    async def _ask(self, sql: str, *params: object) -> Sequence[Any]:
        try:
            return await self._connections.fetch(sql, *params)
        except Unstorable:
            return ()
