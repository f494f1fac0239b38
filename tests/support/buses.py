"""Buses for tests: one of each implementation, and a way to let time pass for each of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from server.kernel.clock import Virtual
from server.kernel.config import Redis as RedisSettings
from storage.api import Bus, Fact
from storage.api.bus import BusLimits
from storage.memory.bus import MemoryBus
from storage.redis.bus import RedisBus
from storage.sqlite import open_sqlite
from tests.support.servers import redis as redis_servers
from tests.support.servers.base import Missing, missing

BUSES = ("memory", "sqlite", "redis", "redis-cluster")
_prefixes = itertools.count(1)


@dataclass
class BusHouse:
    """`passes` moves time for the bus; `another` is the same bus in another process."""

    bus: Bus
    clock: Virtual
    another: Callable[[], Bus]
    redis: RedisBus | None = None

    async def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self.redis is not None:
            await age(self.redis, seconds)


async def age(bus: RedisBus, seconds: float) -> None:
    """Redis has no virtual clock: what is due comes nearer instead."""
    client = bus._commands.client
    for group in await bus.waiting():
        for handle in await client.zrange(bus._due(group), 0, -1):
            await client.zincrby(bus._due(group), -seconds * 1000, handle)


def redis_settings(kind: str = "redis") -> RedisSettings:
    """A part of the server that nobody else uses. Skips or fails where there is none."""
    try:
        settings = redis_servers.settings(kind)
    except Missing as error:
        missing("redis", str(error))
        raise
    return msgspec.structs.replace(settings, prefix=f"bus-{next(_prefixes)}")


@asynccontextmanager
async def open_bus(
    kind: str, folder: Path, limits: BusLimits | None = None
) -> AsyncIterator[BusHouse]:
    clock = Virtual()
    if kind == "memory":
        memory = MemoryBus(clock, limits)
        yield BusHouse(memory, clock, lambda: memory)
    elif kind == "sqlite":
        store = await open_sqlite(folder / "data", clock=clock, bus_limits=limits)
        try:
            yield BusHouse(store.bus, clock, lambda: store.bus)
        finally:
            await store.close()
    else:
        settings = redis_settings(kind)
        opened = [RedisBus(settings, clock, limits, settle_s=0)]

        def another() -> Bus:
            opened.append(RedisBus(settings, clock, limits, settle_s=0))
            return opened[-1]

        try:
            yield BusHouse(opened[0], clock, another, opened[0])
        finally:
            await asyncio.gather(*(bus.close() for bus in opened))


def fact(number: int, name: str = "message.stored") -> Fact:
    return Fact(name, f"{name}:{number}", 1_000 + number, {"room_id": "garden", "seq": number})


def facts(*numbers: int) -> list[Fact]:
    return [fact(number) for number in numbers]
