"""Projections in SQLite, in the file of the log: what a loop turn submits is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import apsw
import msgspec

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import Change, MemberRow, Membership, MessageState, PutReceipt, RoomRow
from storage.sqlite.changes import apply_changes, clear_room, subscribe
from storage.sqlite.connection import Params, ask, listed, one
from storage.sqlite.message_states import message_states
from storage.sqlite.readers import Readers
from storage.sqlite.rows import SEQ_BITS
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Writer

ROOM = "SELECT key FROM rooms WHERE room_id = ?"
ROOM_COLUMNS = "w.id, w.kind, w.visibility, w.history, w.e2ee, w.created_at, w.name, w.topic"
MEMBER_COLUMNS = (
    "p.user_id, p.role, p.joined_seq, p.joined_at, "
    "coalesce(c.read_seq, 0), coalesce(c.delivered_seq, 0)"
)
RECEIPTS = "LEFT JOIN receipts c ON c.room = p.room AND c.user_id = p.user_id"
COUNT = """((SELECT count(*) FROM members m WHERE m.room = w.room) + (SELECT count(*) FROM readers r
    WHERE r.room = w.room AND NOT EXISTS
    (SELECT 1 FROM members m WHERE m.room = r.room AND m.user_id = r.user_id)))"""
MINE = """(SELECT room, user_id, role, joined_seq, joined_at FROM members WHERE user_id = ?1
    UNION ALL SELECT room, user_id, role, joined_seq, joined_at FROM readers r WHERE user_id = ?1
    AND NOT EXISTS (SELECT 1 FROM members m WHERE m.room = r.room AND m.user_id = ?1))"""
"""The rooms of one user, found by the indexes over users."""

MEMBERSHIPS = f"""
    SELECT {ROOM_COLUMNS}, {MEMBER_COLUMNS},
        (SELECT count(DISTINCT t.seq) FROM mentions t WHERE t.room = p.room
         AND t.user_id IN (?1, '*') AND t.sender_id <> ?1 AND t.seq > coalesce(c.read_seq, 0)),
        {COUNT},
        CASE w.kind WHEN 'direct' THEN (SELECT json_group_array(user_id) FROM
            (SELECT user_id FROM members m WHERE m.room = p.room ORDER BY user_id)) END,
        coalesce((SELECT a.seq FROM applied a WHERE a.room = p.room), 0)
    FROM {MINE} p JOIN room_rows w ON w.room = p.room {RECEIPTS}"""

MARKS = f"""SELECT p.user_id, coalesce(c.read_seq, 0), coalesce(c.delivered_seq, 0)
    FROM json_each(?2) j CROSS JOIN people p ON p.room = ?1 AND p.user_id = j.value {RECEIPTS}"""

SHARED = """SELECT DISTINCT o.user_id FROM members m CROSS JOIN members o ON o.room = m.room
    WHERE m.user_id = ?1"""


class SqliteProjections:
    """Implements `storage.api.Projections`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def apply(
        self, room_id: RoomId, *, from_seq: Seq, to_seq: Seq, changes: Sequence[Change]
    ) -> asyncio.Future[Seq]:
        return self._writer.submit(
            lambda tx: apply_changes(tx, room_id, from_seq, to_seq, changes),
            room_id=room_id,
            alone=False,
        )

    async def applied(self, room_ids: Collection[RoomId]) -> dict[RoomId, Seq]:
        sql = """SELECT r.room_id, a.seq FROM json_each(?) j CROSS JOIN rooms r
            ON r.room_id = j.value JOIN applied a ON a.room = r.key"""
        found = dict(await self._ask(sql, (listed(room_ids),)))
        return {room_id: Seq(found.get(room_id, 0)) for room_id in room_ids}

    async def clear(self, room_id: RoomId) -> None:
        await self._writer.submit(lambda tx: clear_room(tx, room_id))

    async def room(self, room_id: RoomId) -> RoomRow | None:
        rows = await self._ask(f"SELECT {ROOM_COLUMNS} FROM room_rows w WHERE id = ?", (room_id,))
        return _room(rows[0]) if rows else None

    async def membership(self, room_id: RoomId, user_id: UserId) -> Membership | None:
        found = await self.memberships(user_id, only=(room_id,))
        return found[0] if found else None

    async def memberships(
        self,
        user_id: UserId,
        *,
        after: RoomId | None = None,
        limit: int = 500,
        only: Collection[RoomId] | None = None,
    ) -> list[Membership]:
        sql = MEMBERSHIPS + " WHERE w.id > ?2"
        params: list[Any] = [user_id, after or "", limit]
        if only is not None:
            sql += " AND w.id IN (SELECT value FROM json_each(?4))"
            params.append(listed(only))
        rows = await self._ask(sql + " ORDER BY w.id LIMIT ?3", params)
        return [_membership(row) for row in rows]

    async def room_ids_of(self, user_id: UserId) -> list[RoomId]:
        sql = f"""SELECT r.room_id FROM {MINE} p CROSS JOIN rooms r ON r.key = p.room
            ORDER BY r.room_id"""
        return [room_id for (room_id,) in await self._ask(sql, (user_id,))]

    async def rooms_of(
        self, user_ids: Collection[UserId], *, among: Collection[RoomId] | None = None
    ) -> dict[UserId, set[RoomId]]:
        sql = """SELECT p.user_id, r.room_id FROM json_each(?1) j CROSS JOIN people p
            ON p.user_id = j.value CROSS JOIN rooms r ON r.key = p.room"""
        if among is not None:
            sql += " WHERE r.room_id IN (SELECT value FROM json_each(?2))"
        params = (listed(user_ids),) if among is None else (listed(user_ids), listed(among))
        found: dict[UserId, set[RoomId]] = {}
        for user_id, room_id in await self._ask(sql, params):
            found.setdefault(user_id, set()).add(room_id)
        return found

    async def members(
        self, room_id: RoomId, *, after: UserId | None = None, limit: int = 500
    ) -> list[MemberRow]:
        return await self._members("people", room_id, after or "", limit)

    async def all_members(self, room_id: RoomId) -> list[MemberRow]:
        return await self._members("members", room_id, "", -1)

    async def member_count(self, room_id: RoomId) -> int:
        sql = f"SELECT {COUNT} FROM (SELECT key AS room FROM rooms WHERE room_id = ?) w"
        rows = await self._ask(sql, (room_id,))
        return int(rows[0][0]) if rows else 0

    async def public_rooms(
        self, query: str, *, after: RoomId | None = None, limit: int = 50
    ) -> list[tuple[RoomRow, int]]:
        sql = f"""SELECT {ROOM_COLUMNS}, {COUNT} FROM room_rows w WHERE visibility = 'public'
            AND id > ? AND instr(folded_name, ?) > 0 ORDER BY id LIMIT ?"""
        rows = await self._ask(sql, (after or "", query.casefold(), limit))
        return [(_room(row), row[8]) for row in rows]

    async def claim_direct(self, a: UserId, b: UserId, room_id: RoomId) -> RoomId:
        low, high = sorted((a, b))

        def claim(tx: Transaction) -> RoomId:
            sql = "INSERT OR IGNORE INTO direct_rooms (a, b, room_id) VALUES (?, ?, ?)"
            tx.execute(sql, (low, high, room_id))
            found = tx.ask("SELECT room_id FROM direct_rooms WHERE a = ? AND b = ?", (low, high))
            return RoomId(found[0][0])

        return await self._writer.submit(claim)

    async def shares_room(self, user_id: UserId, others: Collection[UserId]) -> set[UserId]:
        sql = """SELECT j.value FROM json_each(?2) j WHERE EXISTS (
            SELECT 1 FROM members m CROSS JOIN members o ON o.room = m.room AND o.user_id = j.value
            WHERE m.user_id = ?1)"""
        return {user for (user,) in await self._ask(sql, (user_id, listed(others)))}

    async def roommates(self, user_id: UserId, limit: int = 1000) -> list[UserId]:
        sql = SHARED + " AND o.user_id <> ?1 ORDER BY o.user_id LIMIT ?2"
        return [user for (user,) in await self._ask(sql, (user_id, limit))]

    async def subscribe(self, member: MemberRow) -> bool:
        return await self._writer.submit(lambda tx: subscribe(tx, member))

    async def unsubscribe(self, room_id: RoomId, user_id: UserId) -> bool:
        sql = """DELETE FROM readers WHERE user_id = ?
            AND room = (SELECT key FROM rooms WHERE room_id = ?)"""
        return await self._writer.submit(lambda tx: tx.execute(sql, (user_id, room_id)) == 1)

    async def set_receipts(
        self, room_id: RoomId, receipts: Sequence[PutReceipt]
    ) -> list[PutReceipt]:
        def receive(tx: Transaction) -> list[PutReceipt]:
            room = tx.key(room_id)
            for receipt in receipts:
                tx.receive(room, receipt)
            ids = [receipt.user_id for receipt in receipts]
            found = {row[0]: PutReceipt(*row) for row in tx.ask(MARKS, (room, listed(ids)))}
            return [found[user_id] for user_id in ids if user_id in found]

        return await self._writer.submit(receive, room_id=room_id, alone=False)

    async def states(
        self, room_id: RoomId, seqs: Collection[Seq], viewer: UserId
    ) -> dict[Seq, MessageState]:
        def states(db: apsw.Connection) -> dict[Seq, MessageState]:
            room = one(db, ROOM, (room_id,))
            return {} if room is None else message_states(db, room, seqs, viewer)

        return await self._readers.run(states)

    async def reaction(self, room_id: RoomId, seq: Seq, user_id: UserId, emoji: str) -> Seq | None:
        sql = f"""SELECT event_seq FROM reactions WHERE pos =
            ((SELECT key FROM rooms WHERE room_id = ?) << {SEQ_BITS}) + ?
            AND user_id = ? AND emoji = ?"""
        rows = await self._ask(sql, (room_id, seq, user_id, emoji))
        return Seq(rows[0][0]) if rows else None

    async def _members(
        self, table: str, room_id: RoomId, after: str, limit: int
    ) -> list[MemberRow]:
        sql = f"""SELECT {MEMBER_COLUMNS} FROM {table} p {RECEIPTS}
            WHERE p.room = (SELECT key FROM rooms WHERE room_id = ?) AND p.user_id > ?
            ORDER BY p.user_id LIMIT ?"""
        rows = await self._ask(sql, (room_id, after, limit))
        return [MemberRow(room_id, *row) for row in rows]

    async def _ask(self, sql: str, params: Params) -> list[Any]:
        return await self._readers.run(lambda db: ask(db, sql, params))


def _room(row: Sequence[Any]) -> RoomRow:
    room_id, kind, visibility, history, e2ee, created_at, name, topic = row[:8]
    return RoomRow(room_id, kind, visibility, history, bool(e2ee), created_at, name, topic)


def _membership(row: Sequence[Any]) -> Membership:
    peers = row[16]
    return Membership(
        room=_room(row),
        member=MemberRow(row[0], *row[8:14]),
        mentions=row[14],
        member_count=row[15],
        peers=() if peers is None else tuple(msgspec.json.decode(peers)),
        applied=Seq(row[17]),
    )
