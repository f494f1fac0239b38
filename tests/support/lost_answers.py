"""A link to an HTTP server that passes requests on and, when told, loses an answer: the server did
what it was asked, and who asked sees a broken connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE = 64 * 1024


class Link:
    def __init__(self, target: str) -> None:
        self.endpoint = ""
        self.lost = 0
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._armed: tuple[bytes, bytes] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def lose(self, method: str, in_path: str) -> None:
        """The answer to the next such request."""
        self._armed = (method.encode() + b" ", in_path.encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        doomed = asyncio.Event()
        passing = asyncio.create_task(self._requests(reader, up_writer, doomed))
        self._tasks.add(passing)
        try:
            with suppress(ConnectionError):
                while piece := await up_reader.read(PIECE):
                    if doomed.is_set():
                        self.lost += 1
                        break
                    writer.write(piece)
                    await writer.drain()
        finally:
            passing.cancel()
            self._tasks.discard(passing)
            writer.close()
            up_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(PIECE):
                line = piece.partition(b"\r\n")[0]
                if self._armed and line.startswith(self._armed[0]) and self._armed[1] in line:
                    self._armed = None
                    doomed.set()
                upstream.write(piece)
                await upstream.drain()


@asynccontextmanager
async def losing_answers(target: str) -> AsyncIterator[Link]:
    """`target`: host:port. The link is at `endpoint`."""
    link = Link(target)
    server = await asyncio.start_server(link.serve, "127.0.0.1", 0)
    link.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield link
    finally:
        server.close()
        for task in link._tasks:
            task.cancel()
