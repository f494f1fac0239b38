"""Opens the store in memory: `RoomLog`, `Projections` and `Accounts` over dictionaries."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

from storage.api import Check, DirtyRooms
from storage.memory.accounts import MemoryAccounts
from storage.memory.calls import MemoryCalls
from storage.memory.dirty import MemoryDirtyRooms
from storage.memory.gate import Gate
from storage.memory.log import MemoryLog
from storage.memory.projections import MemoryProjections
from storage.memory.quality import MemoryQuality

_Seam = TypeVar(
    "_Seam",
    MemoryLog,
    MemoryProjections,
    MemoryAccounts,
    MemoryDirtyRooms,
    MemoryCalls,
    MemoryQuality,
)


class MemoryStore:
    """Implements `storage.api.Store`. While `outage` is set every call raises Unavailable."""

    def __init__(self, *, shared: bool = False) -> None:
        self._gate = Gate()
        self.log = MemoryLog(self._gate)
        self.projections = MemoryProjections(self._gate, self.log)
        self.accounts = MemoryAccounts(self._gate)
        self.calls = MemoryCalls(self._gate)
        self.call_quality = MemoryQuality(self._gate)
        self._dirty = MemoryDirtyRooms(self._gate) if shared else None
        self.joint = not shared
        self.checks: Mapping[str, Check] = {"store": self.check}

    @property
    def dirty(self) -> DirtyRooms | None:
        return self._dirty

    @property
    def outage(self) -> bool:
        return self._gate.outage

    @outage.setter
    def outage(self, on: bool) -> None:
        self._gate.outage = on

    def beside(self) -> MemoryStore:
        """The same data, opened by another node: closed and taken away on its own."""
        assert self._dirty is not None, "open_memory(shared=True) is for several nodes"
        other = MemoryStore(shared=True)
        other.log = _behind(other._gate, self.log)
        other.projections = _behind(other._gate, self.projections)
        other.accounts = _behind(other._gate, self.accounts)
        other.calls = _behind(other._gate, self.calls)
        other.call_quality = _behind(other._gate, self.call_quality)
        other._dirty = _behind(other._gate, self._dirty)
        return other

    async def check(self) -> None:
        self._gate.check()

    async def close(self) -> None:
        self._gate.closed = True


def open_memory(*, shared: bool = False) -> MemoryStore:
    """An empty store; a plain call, needs no loop. `shared`: as that of a cluster, see
    `Store.joint`, with marks of dirty rooms.
    """
    return MemoryStore(shared=shared)


def _behind(gate: Gate, seam: _Seam) -> _Seam:
    """The same dictionaries behind a gate of its own."""
    view = copy.copy(seam)
    view._gate = gate
    return view
