"""What nodes share, on Redis 7: one server, Sentinels or a Cluster. `open_redis` opens it."""

from storage.redis.commands import RedisCommands
from storage.redis.shared import RedisShared, open_commands, open_redis

__all__ = ["RedisCommands", "RedisShared", "open_commands", "open_redis"]
