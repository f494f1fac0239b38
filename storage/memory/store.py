"""Opens the store in memory: `RoomLog`, `Projections` and `Accounts` over dictionaries."""

from __future__ import annotations

from collections.abc import Mapping

from storage.api import Check, DirtyRooms
from storage.memory.accounts import MemoryAccounts
from storage.memory.gate import Gate
from storage.memory.log import MemoryLog
from storage.memory.projections import MemoryProjections


class MemoryStore:
    """Implements `storage.api.Store`. While `outage` is set every call raises Unavailable."""

    def __init__(self) -> None:
        self._gate = Gate()
        self.log = MemoryLog(self._gate)
        self.projections = MemoryProjections(self._gate, self.log)
        self.accounts = MemoryAccounts(self._gate)
        self.joint = True
        self.dirty: DirtyRooms | None = None
        self.checks: Mapping[str, Check] = {"store": self.check}

    @property
    def outage(self) -> bool:
        return self._gate.outage

    @outage.setter
    def outage(self, on: bool) -> None:
        self._gate.outage = on

    async def check(self) -> None:
        self._gate.check()

    async def close(self) -> None:
        self._gate.closed = True


def open_memory() -> MemoryStore:
    """An empty store; a plain call, needs no loop."""
    return MemoryStore()
