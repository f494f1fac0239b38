"""Who is alive: a sorted set of node ids by when they are to be taken for dead, by the server's
clock, and what each says of itself in a hash beside it. Both keys live in one slot of a Cluster.
"""

from __future__ import annotations

import msgspec

from server.kernel.ids import NodeId
from storage.api import Node
from storage.redis.commands import RedisCommands
from storage.redis.presence import KEPT_MS, RedisPresence
from storage.redis.script import Script

BEAT = Script(
    """
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local old = redis.call('ZSCORE', KEYS[1], ARGV[1])
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
    return (old and tonumber(old) > now) and 1 or 0
    """
)
ALIVE = Script(
    """
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
        redis.call('ZREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
    end
    return redis.call('HVALS', KEYS[2])
    """
)
LEAVE = Script(
    """
    redis.call('ZREM', KEYS[1], ARGV[1])
    return redis.call('HDEL', KEYS[2], ARGV[1])
    """
)


class RedisNodes:
    """Implements `storage.api.Nodes`."""

    def __init__(self, commands: RedisCommands, presence: RedisPresence) -> None:
        self._commands = commands
        self._presence = presence
        self._keys = (commands.key("{nodes}", "until"), commands.key("{nodes}", "said"))

    async def beat(self, node: Node, ttl_s: float) -> bool:
        said = msgspec.json.encode(node)
        ttl_ms = max(1, round(ttl_s * 1000))
        known: int = await BEAT.run(self._commands, self._keys, (node.id, said, ttl_ms, KEPT_MS))
        await self._presence.keep(node.id)
        return known == 1

    async def leave(self, node_id: NodeId) -> None:
        await LEAVE.run(self._commands, self._keys, (node_id,))

    async def alive(self) -> list[Node]:
        said = await ALIVE.run(self._commands, self._keys, ())
        nodes = [msgspec.json.decode(one, type=Node) for one in said]
        return sorted(nodes, key=lambda node: node.id)
