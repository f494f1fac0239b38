"""A TCP link that can be cut: between whoever dials `port` and the server behind it.

One task for each direction of a connection. What is broken is broken for connections there are and
for those to come, until `heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

CHUNK = 65_536
DIAL_S = 5.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 s: closing sends RST."""

Direction = Literal["up", "down"]
"""up: to the server."""
Change = Callable[[bytes], bytes]


class Link:
    """Listens on `host`:`port`; `to` is the server's address."""

    def __init__(self, to: tuple[str, int], host: str = "127.0.0.1", port: int = 0) -> None:
        self.to = to
        self.host = host
        self.port = port
        self.carried = {"up": 0, "down": 0}
        self._refusing = False
        self._open = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._delay_s = {"up": 0.0, "down": 0.0}
        self._change: dict[str, Change | None] = {"up": None, "down": None}
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        for gate in self._open.values():
            gate.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._pairs):
            task.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    # ---- what can go wrong ----

    def blackhole(self, *directions: Direction) -> None:
        """What is sent does not arrive, and nobody is told. On `heal` it goes on, as TCP would."""
        for direction in directions or ("up", "down"):
            self._open[direction].clear()

    def reset(self) -> None:
        """Break all connections by RST. New ones are carried."""
        for writer in list(self._writers):
            end = writer.get_extra_info("socket")
            if end is not None:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def refuse(self) -> None:
        """Break all connections, and those to come."""
        self._refusing = True
        self.reset()

    def delay(self, seconds: float, *directions: Direction) -> None:
        """Each chunk waits so long; those behind it wait too."""
        for direction in directions or ("up", "down"):
            self._delay_s[direction] = seconds

    def change(self, direction: Direction, by: Change | None) -> None:
        """Pass each chunk through `by`: b"" drops it."""
        self._change[direction] = by

    def heal(self) -> None:
        self._refusing = False
        self._delay_s = {"up": 0.0, "down": 0.0}
        self._change = {"up": None, "down": None}
        for gate in self._open.values():
            gate.set()

    # ---- carrying ----

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        self._writers.add(writer)
        try:
            await self._pair(reader, writer)
        except (OSError, TimeoutError):
            pass
        finally:
            self._pairs.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pair(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.reset()
            return
        async with asyncio.timeout(DIAL_S):
            far_reader, far_writer = await asyncio.open_connection(*self.to)
        self._writers.add(far_writer)
        both = [
            asyncio.create_task(self._carry("up", reader, far_writer), name="link.up"),
            asyncio.create_task(self._carry("down", far_reader, writer), name="link.down"),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self._writers.discard(far_writer)
            far_writer.transport.abort()

    async def _carry(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Ends with its side of the connection."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._delay_s[direction]:
                    await asyncio.sleep(self._delay_s[direction])
                await self._open[direction].wait()
                by = self._change[direction]
                data = data if by is None else by(data)
                self.carried[direction] += len(data)
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def link_to(host: str, port: int) -> AsyncIterator[Link]:
    link = Link((host, port))
    await link.start()
    try:
        yield link
    finally:
        await link.close()
