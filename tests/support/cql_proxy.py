"""Stands between the driver and a node, reads the native protocol's frames, and does to an answer
of a conditional batch what a test wants.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

BATCH, ERROR = 0x0D, 0x00
WRITE_TIMEOUT = 0x1100
Fault = Literal["cut_before", "cut_after", "swallow", "error_after", "error_before"]
"""Before: the batch does not reach the node. After: the node has carried it out."""


class Proxy:
    """`faults` befall the next batches, one each. `batches` counts those that the driver sent."""

    def __init__(self, host: str, port: int) -> None:
        self.batches = 0
        self.faults: list[Fault] = []
        self._node = (host, port)
        self._links: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            node_reader, node_writer = await asyncio.open_connection(*self._node)
            link = _Link(self, writer, node_writer)
            await link.run(reader, node_reader)
        except (OSError, asyncio.CancelledError):
            pass  # by `close`: the stream's own callback takes a cancellation for a fault
        finally:
            self._links.discard(task)
            writer.close()

    async def close(self) -> None:
        for task in tuple(self._links):
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)


class _Link:
    def __init__(
        self, proxy: Proxy, client: asyncio.StreamWriter, node: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._node = node
        self._struck: dict[int, Fault] = {}

    async def run(self, client: asyncio.StreamReader, node: asyncio.StreamReader) -> None:
        ways = [asyncio.ensure_future(self._up(client)), asyncio.ensure_future(self._down(node))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._node.close()
            self._client.close()

    async def _up(self, client: asyncio.StreamReader) -> None:
        while True:
            head, body = await _frame(client)
            _, _, stream, opcode, _ = struct.unpack("!BBhBI", head)
            if opcode == BATCH:
                self._proxy.batches += 1
                fault = self._proxy.faults.pop(0) if self._proxy.faults else None
                if fault == "cut_before":
                    return
                if fault == "error_before":
                    self._client.write(_timed_out(stream))
                    continue
                if fault is not None:
                    self._struck[stream] = fault
            self._node.write(head + body)

    async def _down(self, node: asyncio.StreamReader) -> None:
        while True:
            head, body = await _frame(node)
            stream = struct.unpack("!BBhBI", head)[2]
            match self._struck.pop(stream, None):
                case "cut_after":
                    return
                case "swallow":
                    continue
                case "error_after":
                    self._client.write(_timed_out(stream))
                case _:
                    self._client.write(head + body)


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(9)
    return head, await reader.readexactly(int.from_bytes(head[5:], "big"))


def _timed_out(stream: int) -> bytes:
    """A coordinator's "I do not know": write time-out of type CAS, 0 of 1 answered, at QUORUM."""
    text, kind = b"late", b"CAS"
    body = struct.pack("!IH", WRITE_TIMEOUT, len(text)) + text
    body += struct.pack("!HIIH", 4, 0, 1, len(kind)) + kind
    return struct.pack("!BBhBI", 0x84, 0, stream, ERROR, len(body)) + body


@asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[tuple[Proxy, int]]:
    """The proxy and its port on 127.0.0.1."""
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await proxy.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()
