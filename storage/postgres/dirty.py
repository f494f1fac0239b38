"""Marks of rooms whose last events may not have been told to everybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from server.kernel.ids import NodeId, RoomId, Seq
from storage.postgres.connections import Connections

MARK = """INSERT INTO dirty AS d (node_id, room_id, seq)
    SELECT $1, g.room_id, g.seq FROM unnest($2::text[], $3::bigint[]) AS g (room_id, seq)
    ORDER BY g.room_id COLLATE "C"
    ON CONFLICT (node_id, room_id) DO UPDATE SET seq = excluded.seq WHERE excluded.seq < d.seq"""

TAKE_OVER = """
    WITH taken AS (
        DELETE FROM dirty WHERE node_id = $1 AND room_id = ANY (ARRAY(
            SELECT room_id FROM dirty WHERE node_id = $1
            ORDER BY room_id LIMIT $3 FOR UPDATE SKIP LOCKED))
        RETURNING room_id, seq)
    INSERT INTO dirty AS d (node_id, room_id, seq)
    SELECT $2, room_id, seq FROM taken ORDER BY room_id
    ON CONFLICT (node_id, room_id) DO UPDATE SET seq = least(d.seq, excluded.seq)
    RETURNING room_id, seq"""
"""A row that another one is taking is passed over, so two never get the same mark."""


class PostgresDirty:
    """Implements `storage.api.DirtyRooms`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def mark(self, node_id: NodeId, rooms: Mapping[RoomId, Seq]) -> None:
        if rooms:
            await self._connections.execute(MARK, node_id, [*rooms], [*rooms.values()])

    async def clear(self, node_id: NodeId, room_ids: Collection[RoomId]) -> None:
        sql = "DELETE FROM dirty WHERE node_id = $1 AND room_id = ANY ($2::text[])"
        if room_ids:
            await self._connections.execute(sql, node_id, [*room_ids])

    async def nodes(self) -> list[NodeId]:
        rows = await self._connections.fetch("SELECT DISTINCT node_id FROM dirty ORDER BY node_id")
        return [node_id for (node_id,) in rows]

    async def take_over(self, dead: NodeId, by: NodeId, limit: int = 1000) -> dict[RoomId, Seq]:
        if dead == by:
            sql = "SELECT room_id, seq FROM dirty WHERE node_id = $1 ORDER BY room_id LIMIT $2"
            return dict(await self._connections.fetch(sql, by, limit))
        return dict(await self._connections.fetch(TAKE_OVER, dead, by, limit))

    async def rooms(self) -> set[RoomId]:
        rows = await self._connections.fetch("SELECT DISTINCT room_id FROM dirty")
        return {room_id for (room_id,) in rows}
