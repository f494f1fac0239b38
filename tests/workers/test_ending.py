"""A server that ends, over HTTP: it is not ready, keeps no connection, finishes what it began."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from server.compose import Server
from server.kernel.config import Config
from server.kernel.config import Server as ServerSettings

pytestmark = pytest.mark.slow


@pytest.fixture
async def server(tmp_path: Path):
    settings = ServerSettings(port=0, data=str(tmp_path / "data"), drain_s=0.1)
    running = Server(Config(server=settings))
    await running.start()
    yield running
    await running.close()


async def test_while_it_ends_it_is_not_ready_and_keeps_no_connection(server: Server) -> None:
    async with aiohttp.ClientSession() as http:
        before = await http.get(f"{server.url}/readyz")
        held = asyncio.Event()
        drain = server._closers.index(server.hub.drain)
        server._closers.insert(drain, held.wait)  # type: ignore[arg-type]
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0.05)

        during = await http.get(f"{server.url}/readyz")
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{server.url}/readyz")
        held.set()
        await closing

    assert (before.status, before.headers.get("Connection")) == (200, None)
    assert (during.status, during.headers.get("Connection")) == (503, "close")


async def test_a_request_under_way_is_answered_before_the_end(server: Server) -> None:
    body = b'{"username": "carol", "password": "correct horse battery"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body[:10]
    )
    await asyncio.sleep(0.05)

    closing = asyncio.create_task(server.close())
    await asyncio.sleep(0.05)
    writer.write(body[10:])
    head = await reader.readuntil(b"\r\n\r\n")
    await closing
    writer.close()

    assert b" 201 " in head
