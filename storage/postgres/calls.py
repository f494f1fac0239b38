"""Open calls: what nodes find of one another's when one dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.kernel.ids import NodeId, RoomId
from storage.api import CallRow
from storage.postgres.connections import Connections

COLUMNS = "id, room_id, owner, running, state"
SELECT = f"SELECT {COLUMNS} FROM calls "
CLAIM = f"""INSERT INTO calls ({COLUMNS}) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING RETURNING id"""
IN_THE_WAY = SELECT + "WHERE id = $1 OR ($3 AND running AND room_id = $2)"
PUT = "UPDATE calls SET running = $3, state = $4 WHERE id = $1 AND owner = $2"
TAKE_OVER = f"UPDATE calls SET owner = $3 WHERE id = $1 AND owner = $2 RETURNING {COLUMNS}"
ATTEMPTS = 5


class PostgresCalls:
    """Implements `storage.api.OpenCalls`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def claim(self, row: CallRow) -> CallRow:
        params = (row.id, row.room_id, row.owner, row.running, row.state)
        for _ in range(ATTEMPTS):  # what was in the way may be gone when it is looked at
            if await self._connections.fetch(CLAIM, *params):
                return row
            found = await self._find(IN_THE_WAY, row.id, row.room_id, row.running)
            if found is not None:
                return found
        return row

    async def put(self, row: CallRow) -> bool:
        changed = await self._connections.execute(PUT, row.id, row.owner, row.running, row.state)
        return changed == 1

    async def take_over(self, call_id: str, dead: NodeId, by: NodeId) -> CallRow | None:
        return await self._find(TAKE_OVER, call_id, dead, by)

    async def drop(self, call_id: str) -> None:
        await self._connections.execute("DELETE FROM calls WHERE id = $1", call_id)

    async def get(self, call_id: str) -> CallRow | None:
        return await self._find(SELECT + "WHERE id = $1", call_id)

    async def in_room(self, room_id: RoomId) -> CallRow | None:
        return await self._find(SELECT + "WHERE running AND room_id = $1", room_id)

    async def all(self) -> list[CallRow]:
        return [_call(row) for row in await self._connections.fetch(SELECT + "ORDER BY id")]

    async def _find(self, sql: str, *params: object) -> CallRow | None:
        rows = await self._connections.fetch(sql, *params)
        return _call(rows[0]) if rows else None


def _call(row: Sequence[Any]) -> CallRow:
    return CallRow(*row)
