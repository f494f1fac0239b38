"""Open calls in a dictionary."""

from __future__ import annotations

from msgspec.structs import replace

from server.kernel.ids import NodeId, RoomId
from storage.api import CallRow
from storage.memory.gate import Gate


class MemoryCalls:
    """Implements `storage.api.OpenCalls`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._rows: dict[str, CallRow] = {}

    async def claim(self, row: CallRow) -> CallRow:
        self._gate.check()
        found = self._rows.get(row.id) or (self._running(row.room_id) if row.running else None)
        if found is not None:
            return found
        self._rows[row.id] = row
        return row

    async def put(self, row: CallRow) -> bool:
        self._gate.check()
        found = self._rows.get(row.id)
        if found is None or found.owner != row.owner:
            return False
        self._rows[row.id] = replace(found, running=row.running, state=row.state)
        return True

    async def take_over(self, call_id: str, dead: NodeId, by: NodeId) -> CallRow | None:
        self._gate.check()
        found = self._rows.get(call_id)
        if found is None or found.owner != dead:
            return None
        self._rows[call_id] = replace(found, owner=by)
        return self._rows[call_id]

    async def drop(self, call_id: str) -> None:
        self._gate.check()
        self._rows.pop(call_id, None)

    async def get(self, call_id: str) -> CallRow | None:
        self._gate.check()
        return self._rows.get(call_id)

    async def in_room(self, room_id: RoomId) -> CallRow | None:
        self._gate.check()
        return self._running(room_id)

    async def all(self) -> list[CallRow]:
        self._gate.check()
        return [row for _, row in sorted(self._rows.items())]

    def _running(self, room_id: RoomId) -> CallRow | None:
        rows = (row for row in self._rows.values() if row.running and row.room_id == room_id)
        return next(rows, None)
