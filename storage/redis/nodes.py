"""Who is alive: a hash of node id to "<until> <ttl> <what it says of itself>", times in ms of the
server's clock. It is read and written by scripts only, so that nobody is removed while he beats.
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
    local old = redis.call('HGET', KEYS[1], ARGV[1])
    local line = string.format('%.0f %s %s', now + tonumber(ARGV[2]), ARGV[2], ARGV[3])
    redis.call('HSET', KEYS[1], ARGV[1], line)
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    return (old and tonumber(string.match(old, '^%d+')) > now) and 1 or 0
    """
)
ALIVE = Script(
    """
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local lines = redis.call('HGETALL', KEYS[1])
    local alive = {}
    for i = 1, #lines, 2 do
        local id = lines[i]
        local ends, ttl, said = string.match(lines[i + 1], '^(%d+) (%d+) (.*)$')
        if tonumber(ends) <= now then
            redis.call('HDEL', KEYS[1], id)
        else
            if tonumber(ends) > now + tonumber(ttl) then -- the clock was set back
                local line = string.format('%.0f %s %s', now + tonumber(ttl), ttl, said)
                redis.call('HSET', KEYS[1], id, line)
            end
            table.insert(alive, said)
        end
    end
    return alive
    """
)


class RedisNodes:
    """Implements `storage.api.Nodes`."""

    def __init__(self, commands: RedisCommands, presence: RedisPresence) -> None:
        self._commands = commands
        self._presence = presence
        self._keys = (commands.key("nodes"),)
        self._unsure = False

    async def beat(self, node: Node, ttl_s: float) -> bool:
        """After a beat of unknown outcome the next one says False, too: that one may have been the
        first that an empty Redis heard.
        """
        unsure, self._unsure = self._unsure, True
        said = msgspec.json.encode(node)
        ttl_ms = max(1, round(ttl_s * 1000))
        known: int = await BEAT.run(self._commands, self._keys, (node.id, ttl_ms, said, KEPT_MS))
        await self._presence.keep(node.id)
        self._unsure = False
        return known == 1 and not unsure

    async def leave(self, node_id: NodeId) -> None:
        leaving = self._commands.client.execute_command("HDEL", *self._keys, node_id)
        await self._commands.call(leaving)

    async def alive(self) -> list[Node]:
        said = await ALIVE.run(self._commands, self._keys, ())
        nodes = [msgspec.json.decode(one, type=Node) for one in said]
        return sorted(nodes, key=lambda node: node.id)
