"""Projections in PostgreSQL, of logs that are kept beside them or in another store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import Change, MemberRow, Membership, MessageState, PutReceipt, RoomRow
from storage.postgres.changes import written
from storage.postgres.connections import Connection, Connections, Unstorable
from storage.postgres.message_states import message_states

ROOM_COLUMNS = "w.room_id, w.kind, w.visibility, w.history, w.e2ee, w.created_at, w.name, w.topic"
MEMBER_COLUMNS = (
    "p.user_id, p.role, p.joined_seq, p.joined_at, "
    "coalesce(c.read_seq, 0), coalesce(c.delivered_seq, 0)"
)
RECEIPTS = "LEFT JOIN receipts c ON c.room_id = p.room_id AND c.user_id = p.user_id"
COUNT = """((SELECT count(*) FROM members m WHERE m.room_id = w.room_id) +
    (SELECT count(*) FROM readers r WHERE r.room_id = w.room_id AND NOT EXISTS
    (SELECT FROM members m WHERE m.room_id = r.room_id AND m.user_id = r.user_id)))"""
MEMBERSHIPS = f"""
    SELECT {ROOM_COLUMNS}, {MEMBER_COLUMNS},
        (SELECT count(DISTINCT t.seq) FROM mentions t WHERE t.room_id = p.room_id
         AND t.user_id IN ($1, '*') AND t.sender_id <> $1 AND t.seq > coalesce(c.read_seq, 0)),
        {COUNT},
        CASE w.kind WHEN 'direct' THEN ARRAY(
            SELECT user_id FROM members m WHERE m.room_id = p.room_id ORDER BY user_id) END,
        coalesce(a.seq, 0)
    FROM people p JOIN rooms w ON w.room_id = p.room_id {RECEIPTS}
    LEFT JOIN applied a ON a.room_id = p.room_id
    WHERE p.user_id = $1 AND w.room_id > $2"""

SET_RECEIPTS = """
    WITH given AS (SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[])
        WITH ORDINALITY AS g (user_id, read_seq, delivered_seq, i)),
    put AS (INSERT INTO receipts AS r (room_id, user_id, read_seq, delivered_seq)
        SELECT $1, user_id, max(read_seq), max(delivered_seq) FROM given
        GROUP BY user_id ORDER BY user_id COLLATE "C"
        ON CONFLICT (room_id, user_id) DO UPDATE SET
            read_seq = greatest(r.read_seq, excluded.read_seq),
            delivered_seq = greatest(r.delivered_seq, excluded.delivered_seq)
        RETURNING user_id, read_seq, delivered_seq)
    SELECT c.user_id, c.read_seq, c.delivered_seq FROM given g JOIN put c USING (user_id)
    WHERE EXISTS (SELECT FROM people p WHERE p.room_id = $1 AND p.user_id = c.user_id)
    ORDER BY g.i"""
SUBSCRIBE = """
    WITH added AS (INSERT INTO readers (room_id, user_id, role, joined_seq, joined_at)
        SELECT $1, $2, $3, $4, $5
        WHERE NOT EXISTS (SELECT FROM members WHERE room_id = $1 AND user_id = $2)
        ON CONFLICT DO NOTHING RETURNING room_id, user_id)
    SELECT receive_v1(room_id, user_id, $6, $7) FROM added"""
CLAIM_DIRECT = """INSERT INTO direct_rooms AS d (a, b, room_id) VALUES ($1, $2, $3)
    ON CONFLICT (a, b) DO UPDATE SET room_id = d.room_id RETURNING room_id"""
DERIVED = ("rooms", "members", "mentions", "edits", "gone", "reactions", "replies")


class PostgresProjections:
    """Implements `storage.api.Projections`. `beside_log`: the logs are in the same database, so a
    fold may not be ahead of them.
    """

    def __init__(self, connections: Connections, *, beside_log: bool) -> None:
        self._connections = connections
        self._beside_log = beside_log

    async def apply(
        self, room_id: RoomId, *, from_seq: Seq, to_seq: Seq, changes: Sequence[Change]
    ) -> Seq:
        sql = "SELECT apply_v1($1, $2, $3, $4, $5)"
        params = (room_id, from_seq, to_seq, self._beside_log, written(changes))
        return Seq(await self._connections.value(sql, *params))

    async def applied(self, room_ids: Collection[RoomId]) -> dict[RoomId, Seq]:
        sql = "SELECT room_id, seq FROM applied WHERE room_id = ANY ($1::text[])"
        found = dict(await self._ask(sql, [*room_ids]))
        return {room_id: Seq(found.get(room_id, 0)) for room_id in room_ids}

    async def clear(self, room_id: RoomId) -> None:
        async def clear(connection: Connection) -> None:
            # First, as `apply` does: it waits here, or we do.
            await connection.execute("UPDATE applied SET seq = 0 WHERE room_id = $1", room_id)
            for table in DERIVED:
                await connection.execute(f"DELETE FROM {table} WHERE room_id = $1", room_id)

        await self._connections.transaction(clear)

    async def room(self, room_id: RoomId) -> RoomRow | None:
        rows = await self._ask(f"SELECT {ROOM_COLUMNS} FROM rooms w WHERE room_id = $1", room_id)
        return RoomRow(*rows[0]) if rows else None

    async def membership(self, room_id: RoomId, user_id: UserId) -> Membership | None:
        rows = await self._ask(MEMBERSHIPS + " AND w.room_id = $3", user_id, "", room_id)
        return _membership(rows[0]) if rows else None

    async def memberships(
        self,
        user_id: UserId,
        *,
        after: RoomId | None = None,
        limit: int = 500,
        only: Collection[RoomId] | None = None,
    ) -> list[Membership]:
        sql = MEMBERSHIPS
        params: list[object] = [user_id, after or "", limit]
        if only is not None:
            sql += " AND w.room_id = ANY ($4::text[])"
            params.append([*only])
        rows = await self._ask(sql + " ORDER BY w.room_id LIMIT $3", *params)
        return [_membership(row) for row in rows]

    async def room_ids_of(self, user_id: UserId) -> list[RoomId]:
        sql = "SELECT room_id FROM people WHERE user_id = $1 ORDER BY room_id"
        return [room_id for (room_id,) in await self._ask(sql, user_id)]

    async def rooms_of(
        self, user_ids: Collection[UserId], *, among: Collection[RoomId] | None = None
    ) -> dict[UserId, set[RoomId]]:
        sql = "SELECT user_id, room_id FROM people WHERE user_id = ANY ($1::text[])"
        params: list[object] = [[*user_ids]]
        if among is not None:
            sql += " AND room_id = ANY ($2::text[])"
            params.append([*among])
        found: dict[UserId, set[RoomId]] = {}
        for user_id, room_id in await self._ask(sql, *params):
            found.setdefault(user_id, set()).add(room_id)
        return found

    async def members(
        self, room_id: RoomId, *, after: UserId | None = None, limit: int = 500
    ) -> list[MemberRow]:
        return await self._members("people", room_id, after or "", limit)

    async def all_members(self, room_id: RoomId) -> list[MemberRow]:
        return await self._members("members", room_id, "", None)

    async def member_count(self, room_id: RoomId) -> int:
        rows = await self._ask(f"SELECT {COUNT} FROM (SELECT $1::text AS room_id) w", room_id)
        return int(rows[0][0]) if rows else 0

    async def public_rooms(
        self, query: str, *, after: RoomId | None = None, limit: int = 50
    ) -> list[tuple[RoomRow, int]]:
        sql = f"""SELECT {ROOM_COLUMNS}, {COUNT} FROM rooms w WHERE visibility = 'public'
            AND room_id > $1 AND position($2 IN folded_name) > 0 ORDER BY room_id LIMIT $3"""
        rows = await self._ask(sql, after or "", query.casefold(), limit)
        return [(RoomRow(*row[:8]), row[8]) for row in rows]

    async def claim_direct(self, a: UserId, b: UserId, room_id: RoomId) -> RoomId:
        low, high = sorted((a, b))
        return RoomId(await self._connections.value(CLAIM_DIRECT, low, high, room_id))

    async def shares_room(self, user_id: UserId, others: Collection[UserId]) -> set[UserId]:
        sql = """SELECT g.user_id FROM unnest($2::text[]) AS g (user_id) WHERE EXISTS (
            SELECT FROM members m JOIN members o ON o.room_id = m.room_id
            WHERE m.user_id = $1 AND o.user_id = g.user_id)"""
        return {user for (user,) in await self._ask(sql, user_id, [*others])}

    async def roommates(self, user_id: UserId, limit: int = 1000) -> list[UserId]:
        sql = """SELECT DISTINCT o.user_id FROM members m JOIN members o ON o.room_id = m.room_id
            WHERE m.user_id = $1 AND o.user_id <> $1 ORDER BY o.user_id LIMIT $2"""
        return [user for (user,) in await self._ask(sql, user_id, limit)]

    async def subscribe(self, member: MemberRow) -> bool:
        params = (
            member.room_id, member.user_id, member.role, member.joined_seq, member.joined_at,
            member.read_seq, member.delivered_seq,
        )  # fmt: skip
        return bool(await self._connections.fetch(SUBSCRIBE, *params))

    async def unsubscribe(self, room_id: RoomId, user_id: UserId) -> bool:
        sql = "DELETE FROM readers WHERE room_id = $1 AND user_id = $2"
        return await self._connections.execute(sql, room_id, user_id) == 1

    async def set_receipts(
        self, room_id: RoomId, receipts: Sequence[PutReceipt]
    ) -> list[PutReceipt]:
        if not receipts:
            return []
        given = zip(*((r.user_id, r.read_seq, r.delivered_seq) for r in receipts), strict=True)
        rows = await self._connections.fetch(SET_RECEIPTS, room_id, *map(list, given))
        return [PutReceipt(*row) for row in rows]

    async def states(
        self, room_id: RoomId, seqs: Collection[Seq], viewer: UserId
    ) -> dict[Seq, MessageState]:
        return await message_states(self._connections, room_id, seqs, viewer)

    async def reaction(self, room_id: RoomId, seq: Seq, user_id: UserId, emoji: str) -> Seq | None:
        sql = """SELECT event_seq FROM reactions
            WHERE room_id = $1 AND seq = $2 AND user_id = $3 AND emoji = $4"""
        rows = await self._ask(sql, room_id, seq, user_id, emoji)
        return Seq(rows[0][0]) if rows else None

    async def _members(
        self, table: str, room_id: RoomId, after: str, limit: int | None
    ) -> list[MemberRow]:
        sql = f"""SELECT p.room_id, {MEMBER_COLUMNS} FROM {table} p {RECEIPTS}
            WHERE p.room_id = $1 AND p.user_id > $2 ORDER BY p.user_id LIMIT $3"""
        return [MemberRow(*row) for row in await self._ask(sql, room_id, after, limit)]

    async def _ask(self, sql: str, *params: object) -> Sequence[Any]:
        try:
            return await self._connections.fetch(sql, *params)
        except Unstorable:
            return ()


def _membership(row: Sequence[Any]) -> Membership:
    return Membership(
        room=RoomRow(*row[:8]),
        member=MemberRow(row[0], *row[8:14]),
        mentions=row[14],
        member_count=row[15],
        peers=tuple(row[16] or ()),
        applied=row[17],
    )
