"""The connection that publishes: what a loop turn brings leaves in one write, and of the answers
only the lines are counted.
"""

from __future__ import annotations

import asyncio

from storage.redis.link import Link, code_of

QUEUE_BYTES = 8 * 1024 * 1024
"""Some seconds of a busy hub; past it messages are dropped. A dead server is found out sooner."""

_MESSAGE = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b%b\r\n"
_PING = b"*1\r\n$4\r\nPING\r\n"


class Publisher(Link):
    """Args: origin: bytes before each message's own, by which its sender knows it again."""

    def __init__(self, lost: asyncio.Event, origin: bytes) -> None:
        super().__init__(lost)
        self._origin = origin
        self._lines: list[bytes] = []
        self._bytes = 0
        self._due = False
        self._sent = self._answered = 0
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

    def ping(self) -> None:
        self._sent += 1
        self.transport.write(_PING)

    def received(self, data: bytes) -> None:
        """Each answer is one line; only an error has a dash."""
        self._answered += data.count(b"\n")
        if b"-" in data:
            error = data[data.index(b"-") + 1 :]
            self.refuse(code_of(error.decode("utf-8", "replace")))
        if self._quiet is not None and not self.unanswered():
            self._quiet.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._quiet is not None:
            self._quiet.set()

    def resumed(self) -> None:
        self._leave()

    def unanswered(self) -> int:
        """Messages of which nobody knows whether they left."""
        return self._sent - self._answered + len(self._lines)

    async def finish(self) -> None:
        """Until all is answered. A socket that is closed with answers unread takes back what the
        server has not read yet.
        """
        self._quiet = asyncio.Event()
        if self.unanswered():
            await self._quiet.wait()

    def _leave(self) -> None:
        self._due = False
        if self.paused or not self._lines:
            return
        self._sent += len(self._lines)
        self.transport.write(b"".join(self._lines))
        self._lines.clear()
        self._bytes = 0
