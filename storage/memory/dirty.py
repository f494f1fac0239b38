"""Marks of dirty rooms in a dictionary for each node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice

from server.kernel.ids import NodeId, RoomId, Seq
from storage.memory.gate import Gate


class MemoryDirtyRooms:
    """Implements `storage.api.DirtyRooms`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._marks: dict[NodeId, dict[RoomId, Seq]] = {}

    async def mark(self, node_id: NodeId, rooms: Mapping[RoomId, Seq]) -> None:
        self._gate.check()
        self._put(node_id, rooms)

    async def clear(self, node_id: NodeId, room_ids: Collection[RoomId]) -> None:
        self._gate.check()
        for room_id in room_ids:
            self._marks.get(node_id, {}).pop(room_id, None)

    async def nodes(self) -> list[NodeId]:
        self._gate.check()
        return sorted(node_id for node_id, marks in self._marks.items() if marks)

    async def take_over(self, dead: NodeId, by: NodeId, limit: int = 1000) -> dict[RoomId, Seq]:
        self._gate.check()
        marks = self._marks.get(dead, {})
        taken = dict(islice(sorted(marks.items()), limit))
        for room_id in taken:
            del marks[room_id]
        self._put(by, taken)
        return taken

    async def rooms(self) -> set[RoomId]:
        self._gate.check()
        return {room_id for marks in self._marks.values() for room_id in marks}

    def _put(self, node_id: NodeId, rooms: Mapping[RoomId, Seq]) -> None:
        marks = self._marks.setdefault(node_id, {})
        for room_id, told in rooms.items():
            marks[room_id] = min(marks.get(room_id, told), told)
