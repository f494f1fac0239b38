"""The connection that listens: messages are called on as they are parsed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

import hiredis

from storage.api import Heard
from storage.redis.link import Link, code_of, pack

CHUNK = 1000
"""Channels of one command: some 50 KiB."""

_PING = b"*1\r\n$4\r\nPING\r\n"


class Listener(Link):
    """Args:
    channels: those that are wanted now, as on the wire and as the hub names them. It is the
        owner's; what comes on another one was on its way when it was given up.
    """

    def __init__(
        self, lost: asyncio.Event, origin: bytes, channels: Mapping[bytes, str], heard: Heard
    ) -> None:
        super().__init__(lost)
        self.count = 0
        self.heard = heard
        self._origin = origin
        self._channels = channels
        self._commanded = self._confirmed = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def subscribe(self, channels: Iterable[bytes]) -> None:
        """Returns when Redis confirmed all, or the connection is lost."""
        if not self._command(b"SUBSCRIBE", channels):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._commanded, future))
        await future

    def unsubscribe(self, channels: Iterable[bytes]) -> None:
        self._command(b"UNSUBSCRIBE", channels)

    def ping(self) -> None:
        self.transport.write(_PING)

    def received(self, data: bytes) -> None:
        reader, channels, heard = self._reader, self._channels, self.heard
        origin = self._origin
        skip = len(origin)
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            if type(reply) is list and reply[0] == b"message":
                _, channel, message = reply
                if not message.startswith(origin) and (name := channels.get(channel)) is not None:
                    self.count += 1
                    heard(name, message[skip:])
            else:
                self._noted(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._resolve(self._commanded)

    def _command(self, verb: bytes, channels: Iterable[bytes]) -> bool:
        """False: there was nothing to say, or nobody to say it to."""
        names = list(channels)
        if not names or self.lost.is_set():
            return False
        self._commanded += len(names)
        for start in range(0, len(names), CHUNK):
            self.transport.write(pack(verb, *names[start : start + CHUNK]))
        return True

    def _noted(self, reply: object) -> None:
        """Each channel of a command is confirmed by a reply of its own."""
        if isinstance(reply, hiredis.ReplyError):
            self.refuse(code_of(str(reply)))
        elif isinstance(reply, list) and reply[0] in (b"subscribe", b"unsubscribe"):
            self._confirmed += 1
            self._resolve(self._confirmed)

    def _resolve(self, up_to: int) -> None:
        while self._waiting and self._waiting[0][0] <= up_to:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
