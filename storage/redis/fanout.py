"""The fan-out over Redis: two connections that live and die together, and are made again.

The listening one is subscribed to everything before `restored` is called. Whatever breaks one of
them takes both, so that "cut off" means one thing.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import TypeVar

from hiredis import HiredisError
from redis.exceptions import RedisClusterException, RedisError

from server.kernel.ids import NodeId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Heard
from storage.redis.link import Link, Refused, open_link
from storage.redis.listener import CHUNK, Listener
from storage.redis.publisher import Publisher
from storage.redis.servers import Address, Client, Servers

TICK_S = 1.0
SILENT_TICKS = 3
"""A server that says nothing for so many is taken for dead."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
STEADY_S = 5.0
"""A connection that held so long did not fail: the next try comes at once."""
CLOSE_S = 1.0
ORIGIN_BYTES = 8

FAULTS = (OSError, TimeoutError, RedisError, RedisClusterException, HiredisError, Refused)

_Link = TypeVar("_Link", bound=Link)

log = get_logger(__name__)


class RedisFanout:
    """Implements `storage.api.Fanout`. On the wire each message begins with 8 random bytes that
    name the process it comes from.
    """

    def __init__(self, servers: Servers, client: Client, node_id: NodeId) -> None:
        self._servers, self._client, self._node_id = servers, client, node_id
        self._prefix = f"{servers.settings.prefix}:".encode()
        self._origin = os.urandom(ORIGIN_BYTES)
        self._channels: dict[bytes, str] = {}
        self._heard: Heard = _nobody
        self._restored: Callable[[], None] | None = None
        self._publisher: Publisher | None = None
        self._listener: Listener | None = None
        self._links: list[Link] = []
        self._address: Address | None = None
        self._up = asyncio.Event()
        self._missed = self._closing = False
        self._published = self._dropped = self._heard_before = self._times_up = 0
        self._trouble = ""
        self._tasks = TaskOwner("redis.fanout", on_crash=self._crashed)
        self._start(self._live)
        if servers.watched:
            self._start(self._follow)

    @property
    def connected(self) -> bool:
        return self._publisher is not None

    @property
    def counters(self) -> dict[str, int]:
        """Since the start. `dropped` has too the last second's messages when a connection broke:
        most of them may have arrived.
        """
        listener = self._listener
        return {
            "published": self._published,
            "dropped": self._dropped,
            "heard": self._heard_before + (0 if listener is None else listener.count),
            "reconnects": max(0, self._times_up - 1),
        }

    async def opened(self, limit_s: float) -> None:
        """Wait for the first connection, but no longer: it will come by itself."""
        try:
            async with asyncio.timeout(limit_s):
                await self._up.wait()
        except TimeoutError:
            self._missed = True

    def listen(self, heard: Heard, restored: Callable[[], None]) -> None:
        assert self._restored is None, "listen is called once"
        self._heard, self._restored = heard, restored
        if self._listener is not None:
            self._listener.heard = heard

    def publish(self, channel: str, data: bytes) -> None:
        publisher = self._publisher
        if publisher is not None and publisher.publish(self._prefix + channel.encode(), data):
            self._published += 1
        else:
            self._dropped += 1

    async def subscribe(self, channels: Collection[str]) -> None:
        names = {self._prefix + channel.encode(): channel for channel in channels}
        self._channels.update(names)
        self._missed = self._missed or not self.connected
        if self._listener is not None:
            await self._listener.subscribe(names)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        names = [self._prefix + channel.encode() for channel in channels]
        for name in names:
            self._channels.pop(name, None)
        if self._listener is not None:
            self._listener.unsubscribe(names)

    async def close(self) -> None:
        """What was published leaves first."""
        self._closing = True
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await publisher.finish()
        await self._tasks.close()
        await asyncio.sleep(0)  # the loop closes what was aborted

    def _start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        if not self._closing:
            self._tasks.start(work(), work.__name__)

    def _crashed(self, task: str, crash: BaseException) -> None:
        """A fault of ours must not cut this node off for good."""
        work = self._follow if task.endswith(self._follow.__name__) else self._live
        asyncio.get_running_loop().call_later(LONGEST_PAUSE_S, self._start, work)

    async def _live(self) -> None:
        """Connect, watch until something breaks, and again."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_S
        while not self._closing:
            started = loop.time()
            try:
                reason = await self._hold()
            except FAULTS as fault:
                reason = fault.code if isinstance(fault, Refused) else type(fault).__name__
            finally:
                self._disconnect()
            if loop.time() - started > STEADY_S:
                pause = FIRST_PAUSE_S
            self._report(reason)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _hold(self) -> str:
        """From dialling to the end of the connections. Returns why they ended."""
        lost = asyncio.Event()
        async with asyncio.timeout(self._servers.settings.limit_s):
            self._address = address = await self._servers.primary(self._client)
            listener = await self._open(
                lambda: Listener(lost, self._origin, self._channels, self._heard), address
            )
            self._listener = listener
            publisher = await self._open(
                lambda: Publisher(lost, self._origin, trial=self._prefix), address
            )
        await self._resubscribe(listener)
        if not lost.is_set():
            self._ready(publisher)
            return await self._watch(lost)
        return self._refusal()

    async def _open(self, make: Callable[[], _Link], address: Address) -> _Link:
        settings = self._servers.settings
        link = await open_link(
            make, address, tls=self._servers.tls, login=(settings.user, settings.password),
            name=f"{settings.prefix}-{self._node_id}", primary=self._servers.watched,
        )  # fmt: skip
        self._links.append(link)
        return link

    async def _resubscribe(self, listener: Listener) -> None:
        """What is subscribed to meanwhile goes its own way, what is given up is left out."""
        wanted = list(self._channels)
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            async with asyncio.timeout(self._servers.settings.limit_s):
                await listener.subscribe([name for name in chunk if name in self._channels])

    def _ready(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._times_up += 1
        self._up.set()
        log.info("fanout.connected", times=self._times_up)
        self._trouble = ""
        if self._missed and self._restored is not None:
            asyncio.get_running_loop().call_soon(self._restored)
        self._missed = False

    async def _watch(self, lost: asyncio.Event) -> str:
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await lost.wait()
                return self._refusal()
            except TimeoutError:
                if max([link.tick() for link in self._links]) >= SILENT_TICKS:
                    return "silent"

    async def _follow(self) -> None:
        """A primary that was replaced may go on to answer those who still hold it."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                async with asyncio.timeout(self._servers.settings.limit_s):
                    address = await self._servers.primary(self._client)
            except FAULTS:
                continue
            if self._publisher is not None and address != self._address:
                self._publisher.refuse("moved")

    def _disconnect(self) -> None:
        if self._publisher is not None:
            self._dropped += self._publisher.unsure()
            self._missed = True
        if self._listener is not None:
            self._heard_before += self._listener.count
        self._publisher = self._listener = None
        for link in self._links:
            link.abort()
        self._links.clear()

    def _refusal(self) -> str:
        return next((link.refusal for link in self._links if link.refusal), "closed")

    def _report(self, reason: str) -> None:
        """Once for each kind of trouble, not once for each try."""
        if reason != self._trouble and not self._closing:
            log.warning("fanout.cut_off", reason=reason)
        self._trouble = reason


def _nobody(channel: str, data: bytes) -> None:
    """Until `listen`."""
