"""How good calls were, in PostgreSQL: a device's reports may come to any node."""

from __future__ import annotations

from msgspec.structs import astuple

from server.kernel.ids import DeviceId
from storage.api import QualityRow
from storage.postgres.connections import Connections

COLUMNS = ", ".join(QualityRow.__struct_fields__)
SELECT = f"SELECT {COLUMNS} FROM call_quality "
INSERT = f"""INSERT INTO call_quality ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT DO NOTHING"""
REPLACE = """UPDATE call_quality SET updated_at = $5, version = $6, state = $7
    WHERE call_id = $1 AND device_id = $2 AND version = $6 - 1
    AND room_id = $3 AND user_id = $4"""
DROP = """DELETE FROM call_quality WHERE ctid = ANY (ARRAY
    (SELECT ctid FROM call_quality WHERE updated_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))"""


class PostgresQuality:
    """Implements `storage.api.CallQuality`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def put(self, row: QualityRow) -> bool:
        sql = INSERT if row.version == 1 else REPLACE
        return await self._connections.execute(sql, *astuple(row)) == 1

    async def get(self, call_id: str, device_id: DeviceId) -> QualityRow | None:
        rows = await self._ask("WHERE call_id = $1 AND device_id = $2", call_id, device_id)
        return rows[0] if rows else None

    async def of_call(self, call_id: str, limit: int) -> list[QualityRow]:
        return await self._ask("WHERE call_id = $1 ORDER BY device_id LIMIT $2", call_id, limit)

    async def drop_before(self, at: int, limit: int) -> int:
        return await self._connections.execute(DROP, at, limit)

    async def _ask(self, tail: str, *params: object) -> list[QualityRow]:
        return [QualityRow(*row) for row in await self._connections.fetch(SELECT + tail, *params)]
