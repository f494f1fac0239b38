"""Opens what nodes share, on Redis."""

from __future__ import annotations

from collections.abc import Mapping

from server.kernel.clock import Clock
from server.kernel.config import Redis as Settings
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId
from storage.api import Check
from storage.redis.commands import RedisCommands
from storage.redis.fanout import RedisFanout
from storage.redis.limits import RedisLimits
from storage.redis.nodes import RedisNodes
from storage.redis.presence import RedisPresence
from storage.redis.servers import Servers

CHECK_MS = 60_000


class RedisShared:
    """Implements `storage.api.Shared`. `commands` is for whoever else has a use for this Redis."""

    def __init__(self, settings: Settings, *, node_id: NodeId, clock: Clock) -> None:
        servers = Servers(settings)
        self.commands = RedisCommands(servers, clock)
        self.presence = RedisPresence(self.commands)
        self.nodes = RedisNodes(self.commands, self.presence)
        self.limits = RedisLimits(self.commands)
        self.fanout = RedisFanout(servers, self.commands.client, node_id)
        self.checks: Mapping[str, Check] = {"redis": self.check}

    async def check(self) -> None:
        """Redis takes a write, and the fan-out's connections stand."""
        key = self.commands.key("check")
        await self.commands.call(self.commands.client.set(key, b"1", px=CHECK_MS))
        if not self.fanout.connected:
            raise Unavailable("The fan-out is cut off from redis.", retry_after_s=1.0)

    async def close(self) -> None:
        await self.fanout.close()
        await self.commands.close()


async def open_redis(settings: Settings, *, node_id: NodeId, clock: Clock) -> RedisShared:
    """Also while Redis is down: calls raise Unavailable then, and it comes back by itself."""
    shared = RedisShared(settings, node_id=node_id, clock=clock)
    await shared.fanout.opened(settings.limit_s)
    return shared


def open_commands(settings: Settings, *, clock: Clock) -> RedisCommands:
    """Connections of their own, for what may block."""
    return RedisCommands(Servers(settings), clock)
