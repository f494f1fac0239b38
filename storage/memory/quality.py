"""How good calls were, in a dictionary."""

from __future__ import annotations

from server.kernel.ids import DeviceId
from storage.api import QualityRow
from storage.memory.gate import Gate


class MemoryQuality:
    """Implements `storage.api.CallQuality`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._rows: dict[tuple[str, DeviceId], QualityRow] = {}

    async def put(self, row: QualityRow) -> bool:
        self._gate.check()
        found = self._rows.get((row.call_id, row.device_id))
        if row.version != (1 if found is None else found.version + 1):
            return False
        self._rows[row.call_id, row.device_id] = row
        return True

    async def get(self, call_id: str, device_id: DeviceId) -> QualityRow | None:
        self._gate.check()
        return self._rows.get((call_id, device_id))

    async def of_call(self, call_id: str, limit: int) -> list[QualityRow]:
        self._gate.check()
        return [row for key, row in sorted(self._rows.items()) if key[0] == call_id][:limit]

    async def drop_before(self, at: int, limit: int) -> int:
        self._gate.check()
        old = [key for key, row in self._rows.items() if row.updated_at < at][:limit]
        for key in old:
            del self._rows[key]
        return len(old)
