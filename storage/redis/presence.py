"""Who is at which node: a hash for each node, user id to status, and a set of the nodes that have
one. A node's own is one key to forget and to keep from expiring, and a reader asks each node once
for all users.

A field's value: `o` (online) or `a` (away), then since when, decimal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from server.kernel.ids import NodeId, UserId
from storage.api import NodePresence
from storage.redis.commands import RedisCommands
from storage.redis.script import Script

KEPT_MS = 24 * 3600 * 1000
"""What a cluster leaves that never comes back goes after this; each beat begins it anew."""
CHUNK = 1000
"""Users of one command."""

_T = TypeVar("_T")

FORGET = Script(
    """
    local users = redis.call('HKEYS', KEYS[1])
    redis.call('UNLINK', KEYS[1])
    return users
    """
)


class RedisPresence:
    """Implements `storage.api.SharedPresence`."""

    def __init__(self, commands: RedisCommands) -> None:
        self._commands = commands
        self._index = commands.key("presence", "nodes")

    async def put(self, node_id: NodeId, users: Mapping[UserId, NodePresence | None]) -> None:
        for chunk in _chunks(list(users.items())):
            await self._commands.call(self._put(self._key(node_id), node_id, dict(chunk)))

    async def of(self, user_ids: Collection[UserId]) -> dict[UserId, dict[NodeId, NodePresence]]:
        found: dict[UserId, dict[NodeId, NodePresence]] = {}
        nodes = await self._nodes() if user_ids else []
        for chunk in _chunks(list(dict.fromkeys(user_ids))):
            rows = await self._commands.call(self._read(nodes, chunk)) if nodes else []
            for node_id, row in zip(nodes, rows, strict=True):
                for user_id, packed in zip(chunk, row, strict=True):
                    if packed is not None:
                        found.setdefault(user_id, {})[node_id] = _unpack(packed)
        return found

    async def forget(self, node_id: NodeId) -> list[UserId]:
        users = await FORGET.run(self._commands, (self._key(node_id),), ())
        await self._commands.call(self._commands.client.srem(self._index, node_id))
        return sorted(UserId(user.decode()) for user in users)

    async def keep(self, node_id: NodeId) -> None:
        """What a node that lives said does not expire, nor is it missing from the index because
        somebody forgot the node just when it came back.
        """
        await self._commands.call(self._keep(node_id))

    def _key(self, node_id: NodeId) -> str:
        return self._commands.key("presence", "of", node_id)

    async def _nodes(self) -> list[NodeId]:
        reading: Awaitable[set[bytes]] = self._commands.client.execute_command(
            "SMEMBERS", self._index
        )
        return sorted(NodeId(node.decode()) for node in await self._commands.call(reading))

    async def _put(
        self, key: str, node_id: NodeId, users: Mapping[UserId, NodePresence | None]
    ) -> None:
        there = {user_id: _pack(said) for user_id, said in users.items() if said is not None}
        gone = [user_id for user_id, said in users.items() if said is None]
        pipeline = self._commands.client.pipeline(transaction=False)
        if gone:
            pipeline.hdel(key, *gone)
        if there:
            pipeline.sadd(self._index, node_id)
            pipeline.hset(key, items=[word for pair in there.items() for word in pair])
            pipeline.pexpire(key, KEPT_MS)
            pipeline.pexpire(self._index, KEPT_MS)
        await pipeline.execute()

    async def _read(self, nodes: Sequence[NodeId], user_ids: Sequence[UserId]) -> list[Any]:
        pipeline = self._commands.client.pipeline(transaction=False)
        for node_id in nodes:
            pipeline.hmget(self._key(node_id), user_ids)
        rows: list[Any] = await pipeline.execute()
        return rows

    async def _keep(self, node_id: NodeId) -> None:
        pipeline = self._commands.client.pipeline(transaction=False)
        pipeline.sadd(self._index, node_id)
        pipeline.pexpire(self._key(node_id), KEPT_MS)
        pipeline.pexpire(self._index, KEPT_MS)
        await pipeline.execute()


def _pack(said: NodePresence) -> str:
    return f"{said.status[0]}{said.at}"


def _unpack(packed: bytes) -> NodePresence:
    return NodePresence("online" if packed[:1] == b"o" else "away", int(packed[1:]))


def _chunks(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
