"""The connection that publishes: what a loop turn brings leaves in one write, and Redis is told to
answer none of it: to read its answers took 10 us of each message when a turn had one, 1 us when it
had twenty.

Once a tick it is asked to answer again, and in the same breath to stop: the one `+OK` shows that
it lives and has taken all that was sent before.
"""

from __future__ import annotations

import asyncio
from collections import deque

from storage.redis.link import Link, code_of, pack

QUEUE_BYTES = 8 * 1024 * 1024
"""Some seconds of a busy hub; past it messages are dropped. A dead server is found out sooner."""

_MESSAGE = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b%b\r\n"
_MUTE = pack("CLIENT", "REPLY", "OFF")
_SIGN_OF_LIFE = pack("CLIENT", "REPLY", "ON") + _MUTE


class Publisher(Link):
    """Args:
    origin: bytes before each message's own, by which its sender knows it again.
    trial: a channel that nobody listens to, to learn whether we may publish.
    """

    def __init__(self, lost: asyncio.Event, origin: bytes, *, trial: bytes) -> None:
        super().__init__(lost)
        self._origin = origin
        self._trial = trial
        self._lines: list[bytes] = []
        self._bytes = 0
        self._due = False
        self._sent = self._taken = 0
        self._asked_at: deque[int] = deque()
        self._quiet: asyncio.Event | None = None
        self._call_soon = asyncio.get_running_loop().call_soon

    def publish(self, channel: bytes, data: bytes) -> bool:
        """False: dropped, too much waits."""
        origin = self._origin
        line = _MESSAGE % (len(channel), channel, len(data) + len(origin), origin, data)
        if self._bytes + len(line) > QUEUE_BYTES:
            return False
        self._lines.append(line)
        self._bytes += len(line)
        if not self._due:
            self._due = True
            self._call_soon(self._leave)
        return True

    async def greeted(self) -> None:
        await self.ask("PUBLISH", self._trial, b"")
        self.transport.write(_MUTE)

    def ping(self) -> None:
        self._asked_at.append(self._sent)
        self.transport.write(_SIGN_OF_LIFE)

    def received(self, data: bytes) -> None:
        if data.startswith(b"-"):
            self.refuse(code_of(data[1:].decode("utf-8", "replace")))
        for _ in range(data.count(b"\n")):
            if self._asked_at:
                self._taken = self._asked_at.popleft()
        if self._quiet is not None and not self.unsure():
            self._quiet.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._quiet is not None:
            self._quiet.set()

    def resumed(self) -> None:
        self._leave()

    def unsure(self) -> int:
        """Messages of which nobody knows yet whether Redis took them."""
        return self._sent - self._taken + len(self._lines)

    async def finish(self) -> None:
        """Until Redis took all. A socket that is closed too soon can take back what the server has
        not read.
        """
        self._quiet = asyncio.Event()
        self._leave()
        self.ping()
        if self.unsure():
            await self._quiet.wait()

    def _leave(self) -> None:
        self._due = False
        if self.paused or not self._lines:
            return
        self._sent += len(self._lines)
        self.transport.write(b"".join(self._lines))
        self._lines.clear()
        self._bytes = 0
