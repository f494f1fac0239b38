"""Open calls in SQLite: a row is written by the group commit that is under way anyway."""

from __future__ import annotations

from typing import Any

from server.kernel.ids import NodeId, RoomId
from storage.api import CallRow
from storage.sqlite.connection import Params, as_struct, ask
from storage.sqlite.readers import Readers
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Writer

FIELDS = CallRow.__struct_fields__
SELECT = f"SELECT {', '.join(FIELDS)} FROM calls "
CLAIM = "INSERT INTO calls (id, room_id, owner, running, state) VALUES (?, ?, ?, ?, ?)"
IN_THE_WAY = SELECT + "WHERE id = ?1 OR (?3 AND running AND room_id = ?2)"
PUT = "UPDATE calls SET running = ?3, state = ?4 WHERE id = ?1 AND owner = ?2"
TAKE_OVER = "UPDATE calls SET owner = ?3 WHERE id = ?1 AND owner = ?2"


class SqliteCalls:
    """Implements `storage.api.OpenCalls`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def claim(self, row: CallRow) -> CallRow:
        def claim(tx: Transaction) -> CallRow:
            found = tx.ask(IN_THE_WAY, (row.id, row.room_id, row.running))
            if found:
                return _call(found[0])
            tx.execute(CLAIM, (row.id, row.room_id, row.owner, row.running, row.state))
            return row

        return await self._writer.submit(claim)

    async def put(self, row: CallRow) -> bool:
        params = (row.id, row.owner, row.running, row.state)
        return await self._writer.submit(lambda tx: tx.execute(PUT, params) == 1)

    async def take_over(self, call_id: str, dead: NodeId, by: NodeId) -> CallRow | None:
        def take(tx: Transaction) -> CallRow | None:
            if tx.execute(TAKE_OVER, (call_id, dead, by)) == 0:
                return None
            return _call(tx.ask(SELECT + "WHERE id = ?", (call_id,))[0])

        return await self._writer.submit(take)

    async def drop(self, call_id: str) -> None:
        sql = "DELETE FROM calls WHERE id = ?"
        await self._writer.submit(lambda tx: tx.execute(sql, (call_id,)))

    async def get(self, call_id: str) -> CallRow | None:
        return _first(await self._ask("WHERE id = ?", (call_id,)))

    async def in_room(self, room_id: RoomId) -> CallRow | None:
        return _first(await self._ask("WHERE running AND room_id = ?", (room_id,)))

    async def all(self) -> list[CallRow]:
        return await self._ask("ORDER BY id", ())

    async def _ask(self, tail: str, params: Params) -> list[CallRow]:
        rows = await self._readers.run(lambda db: ask(db, SELECT + tail, params))
        return [_call(row) for row in rows]


def _call(row: Any) -> CallRow:
    return as_struct(CallRow, row, FIELDS)


def _first(rows: list[CallRow]) -> CallRow | None:
    return rows[0] if rows else None
