"""Facts over Redis Streams: a stream and a consumer group of it for each group of workers.

A fact is as durable as Redis is configured: with `appendonly yes` and `appendfsync always` it
survives a kill -9; with `everysec` the last second may go.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from server.kernel.clock import Clock
from server.kernel.config import Redis as Settings
from server.kernel.json import encode
from storage.api.bus import (
    MOST_TAKEN,
    REASON_CHARS,
    BusLimits,
    DeadLetter,
    Delivery,
    Fact,
    is_wanted,
)
from storage.redis.bus_scripts import (
    BURY,
    DONE,
    JOIN,
    POSTPONE,
    PUBLISH,
    REPLAY,
    TAKE,
    WAITING,
)
from storage.redis.commands import RedisCommands
from storage.redis.servers import Servers

SETTLE_S = 1.0
"""A publisher asks this often which groups there are; `join` returns when all must have asked."""
LOOK_S = 1.0
"""Who waits for facts looks this often for those that are due again."""
IDLE_CONSUMER_MS = 600_000
AT_ONCE = 1_000
"""Facts or ids for one script: Lua takes about 8,000 arguments at a time."""
PAGE = 500

_ID = re.compile(r"\d{1,16}-\d{1,16}")
_fact = msgspec.json.Decoder(Fact)


class RedisBus:
    """Implements `storage.api.Bus`, over connections of its own, since `take` blocks one."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        limits: BusLimits | None = None,
        *,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._servers = Servers(settings)
        commands = self._commands = RedisCommands(self._servers, clock)
        self._limit_s = settings.limit_s
        self._clock = clock
        self._limits = limits or BusLimits()
        self._settle_s = settle_s
        self._known: dict[str, tuple[str, ...]] = {}
        self._known_until = float("-inf")
        self._base = commands.key("{bus}", "")
        self._groups = self._base + "groups"
        self._dead = self._base + "dead"

    async def check(self) -> None:
        """Raises Unavailable."""
        await self._commands.call(self._commands.client.exists(self._groups))

    async def close(self) -> None:
        await self._commands.close()
        await self._servers.close()

    # ---- for who tells --------------------------------------------------------------------------

    def wants(self, name: str | None = None) -> bool:
        return self._clock.monotonic() >= self._known_until or any(
            name is None or is_wanted(name, wants) for wants in self._known.values()
        )

    async def publish(
        self, facts: Sequence[Fact], *, after: asyncio.Future[Any] | None = None
    ) -> None:
        if after is not None and await asyncio.shield(after) is not None:
            return
        wanted = [fact for fact in facts if self.wants(fact.name)]
        for start in range(0, len(wanted), AT_ONCE):
            await self._publish(wanted[start : start + AT_ONCE])

    async def _publish(self, facts: Sequence[Fact]) -> None:
        asked_at = self._clock.monotonic()
        args: list[Any] = [
            self._base, self._limits.waiting, self._limits.dead, self._clock.now_ms()
        ]  # fmt: skip
        for fact in facts:
            args += (fact.name, encode(fact))
        found = await PUBLISH.run(self._commands, (self._groups, self._dead), args)
        pairs = zip(found[::2], found[1::2], strict=True)
        self._known = {name.decode(): tuple(msgspec.json.decode(w)) for name, w in pairs}
        self._known_until = asked_at + self._settle_s

    # ---- for workers ----------------------------------------------------------------------------

    async def join(self, group: str, wants: Collection[str] = ("*",)) -> None:
        keys = (self._groups, self._queue(group))
        new = await JOIN.run(self._commands, keys, (group, encode(tuple(wants)), IDLE_CONSUMER_MS))
        self._known_until = float("-inf")
        if new:
            await asyncio.sleep(self._settle_s)

    async def leave(self, group: str) -> None:
        client = self._commands.client
        await self._commands.call(client.hdel(self._groups, group))
        await self._commands.call(client.delete(self._queue(group), self._due(group)))

    async def take(
        self, group: str, consumer: str, *, limit: int, wait_s: float, lease_s: float
    ) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + wait_s
        keys = (self._queue(group), self._due(group))
        args = (consumer, min(limit, MOST_TAKEN), round(lease_s * 1000))
        while True:
            try:
                flat, next_ms, last_id = await TAKE.run(self._commands, keys, args)
            except ResponseError as error:
                if "NOGROUP" in str(error) or "no such key" in str(error):
                    raise LookupError(group) from None
                raise
            left = give_up - loop.time()
            if flat or left <= 0:
                return [
                    Delivery(handle.decode(), _fact.decode(text), attempts)
                    for handle, attempts, text in zip(
                        flat[::3], flat[1::3], flat[2::3], strict=True
                    )
                ]
            if next_ms >= 0:
                left = min(left, next_ms / 1000)
            await self._wait(keys[0], last_id, min(left, LOOK_S))

    async def _wait(self, queue: str, last_id: bytes, wait_s: float) -> None:
        """Until something is published after `last_id`."""
        block_ms = max(1, round(wait_s * 1000))
        limit_s = self._limit_s + wait_s
        reading = self._commands.client.xread({queue: last_id}, count=1, block=block_ms)
        await self._commands.call(reading, limit_s=limit_s)

    async def done(self, group: str, handles: Collection[str]) -> None:
        keys = (self._queue(group), self._due(group))
        for some in _parts(handles):
            await DONE.run(self._commands, keys, some)

    async def postpone(self, group: str, delays_s: Mapping[str, float]) -> None:
        for some in _parts(delays_s):
            args = [part for h in some for part in (round(delays_s[h] * 1000), h)]
            await POSTPONE.run(self._commands, (self._due(group),), args)

    async def bury(self, group: str, deliveries: Collection[Delivery], reason: str) -> None:
        keys = (self._queue(group), self._due(group), self._dead)
        told = (group, reason[:REASON_CHARS], self._clock.now_ms(), self._limits.dead)
        for some in _parts(delivery.handle for delivery in deliveries):
            await BURY.run(self._commands, keys, (*told, *some))

    # ---- for who looks --------------------------------------------------------------------------

    async def dead(
        self, *, group: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        start = f"({after}" if after is not None and _ID.fullmatch(after) else "-"
        while len(found) < limit:
            reading = self._commands.client.xrange(self._dead, min=start, count=PAGE)
            page: Any = await self._commands.call(reading)
            letters = [_letter(number, fields) for number, fields in page]
            found += (letter for letter in letters if group in (None, letter.group))
            if len(page) < PAGE:
                break
            start = f"({letters[-1].id}"
        return found[:limit]

    async def replay(self, ids: Collection[str]) -> int:
        ordered = sorted({i for i in ids if _ID.fullmatch(i)}, key=_number)
        count = 0
        for some in _parts(ordered):
            count += await REPLAY.run(
                self._commands, (self._groups, self._dead), (self._base, *some)
            )
        return count

    async def drop(self, ids: Collection[str]) -> int:
        count = 0
        for some in _parts(i for i in ids if _ID.fullmatch(i)):
            count += await self._commands.call(self._commands.client.xdel(self._dead, *some))
        return count

    async def waiting(self) -> dict[str, int]:
        flat = await WAITING.run(self._commands, (self._groups,), (self._base,))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return dict(sorted((name.decode(), count) for name, count in pairs))

    def _queue(self, group: str) -> str:
        return f"{self._base}queue:{group}"

    def _due(self, group: str) -> str:
        return f"{self._base}due:{group}"


def _letter(number: bytes, fields: Mapping[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        id=number.decode(),
        group=fields[b"g"].decode(),
        fact=_fact.decode(fields[b"f"]),
        attempts=int(fields[b"n"]),
        reason=fields[b"r"].decode(),
        died_at=int(fields[b"t"]),
    )


def _parts(ids: Iterable[str]) -> Iterable[list[str]]:
    every = list(ids)
    return (every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE))


def _number(stream_id: str) -> tuple[int, int]:
    at, _, order = stream_id.partition("-")
    return int(at), int(order)
