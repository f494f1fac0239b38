"""The links of the fault tests do what they say, or what they prove is nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.links import Link, link_to


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """To a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with link_to("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        yield link
    server.close()


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hears(self, what: bytes, within_s: float = 1.0) -> bool:
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.readexactly(len(what)) == what
        except (TimeoutError, asyncio.IncompleteReadError):
            return False


async def _dial(link: Link) -> Caller:
    return Caller(*await asyncio.open_connection(link.host, link.port))


async def test_a_whole_link_carries_both_ways(link: Link):
    caller = await _dial(link)
    caller.writer.write(b"hello")

    assert await caller.hears(b"hello")
    caller.writer.close()


async def test_what_falls_into_a_black_hole_arrives_when_it_is_healed(link: Link):
    caller = await _dial(link)
    link.blackhole("down")
    caller.writer.write(b"hello")

    assert not await caller.hears(b"hello", within_s=0.1)
    assert link.carried == {"up": 5, "down": 0}
    link.heal()
    assert await caller.hears(b"hello")
    caller.writer.close()


async def test_a_reset_breaks_the_connection_and_not_the_next_one(link: Link):
    caller = await _dial(link)
    caller.writer.write(b"a")
    await caller.hears(b"a")
    link.reset()

    with pytest.raises(ConnectionResetError):
        await caller.reader.readexactly(1)
    again = await _dial(link)
    again.writer.write(b"hello")
    assert await again.hears(b"hello")
    again.writer.close()


async def test_a_refusing_link_breaks_new_connections_too(link: Link):
    link.refuse()
    caller = await _dial(link)

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await caller.reader.readexactly(1)


async def test_bytes_can_be_changed_on_their_way(link: Link):
    caller = await _dial(link)
    link.change("up", lambda data: data.replace(b"hello", b"adieu"))
    caller.writer.write(b"hello")

    assert await caller.hears(b"adieu")
    caller.writer.close()
