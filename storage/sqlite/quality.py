"""How good calls were, in SQLite."""

from __future__ import annotations

from msgspec.structs import astuple

from server.kernel.ids import DeviceId
from storage.api import QualityRow
from storage.sqlite.connection import Params, as_struct, ask
from storage.sqlite.readers import Readers
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Writer

FIELDS = QualityRow.__struct_fields__
SELECT = f"SELECT {', '.join(FIELDS)} FROM call_quality "
INSERT = f"INSERT OR IGNORE INTO call_quality ({', '.join(FIELDS)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
REPLACE = """UPDATE call_quality SET updated_at = ?5, version = ?6, state = ?7
    WHERE call_id = ?1 AND device_id = ?2 AND version = ?6 - 1
    AND room_id = ?3 AND user_id = ?4"""
DROP = """DELETE FROM call_quality WHERE rowid IN
    (SELECT rowid FROM call_quality WHERE updated_at < ? LIMIT ?)"""


class SqliteQuality:
    """Implements `storage.api.CallQuality`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def put(self, row: QualityRow) -> bool:
        sql = INSERT if row.version == 1 else REPLACE

        def put(tx: Transaction) -> bool:
            return tx.execute(sql, astuple(row)) == 1

        return await self._writer.submit(put)

    async def get(self, call_id: str, device_id: DeviceId) -> QualityRow | None:
        rows = await self._ask("WHERE call_id = ? AND device_id = ?", (call_id, device_id))
        return rows[0] if rows else None

    async def of_call(self, call_id: str, limit: int) -> list[QualityRow]:
        return await self._ask("WHERE call_id = ? ORDER BY device_id LIMIT ?", (call_id, limit))

    async def drop_before(self, at: int, limit: int) -> int:
        return await self._writer.submit(lambda tx: tx.execute(DROP, (at, limit)))

    async def _ask(self, tail: str, params: Params) -> list[QualityRow]:
        rows = await self._readers.run(lambda db: ask(db, SELECT + tail, params))
        return [as_struct(QualityRow, row, FIELDS) for row in rows]
