"""The protocol server's `room` mode under the attacks that the plain stack does not survive."""

import asyncio
import json
import time

import aiohttp
import pytest

import tests.support.protocol_modes_socketio  # noqa: F401  adds its modes
from tests.support.hub_house import House
from tests.support.protocol_modes import MODES


class Room:
    def __init__(self, port):
        self.port = port

    async def knocks(self):
        house = House.__new__(House)
        house.port = self.port
        return await house.knocks()

    async def joins(self):
        member = await self.knocks()
        await member.send("40")
        assert (await member.hear()).startswith('40{"sid":"')
        await member.send('420["join",{}]')
        assert await member.hear() == '430[{"ok":true}]'
        return member

    async def stats(self):
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/stats") as answer,
        ):
            return await answer.json()

    async def holds(self, condition, seconds=5.0):
        async with asyncio.timeout(seconds):
            while not condition(await self.stats()):  # noqa: ASYNC110 (polled over HTTP)
                await asyncio.sleep(0.02)


@pytest.fixture
async def room():
    port, stop = await MODES["room"]("127.0.0.1", 0)
    yield Room(port)
    await stop()


async def test_echo_acknowledges_its_arguments(room):
    member = await room.joins()

    await member.send('427["echo",1,{"a":[null]},"é"]')

    assert json.loads((await member.hear())[3:]) == [1, {"a": [None]}, "é"]
    await member.leaves()


async def test_flood_reaches_the_room(room):
    members = [await room.joins(), await room.joins()]

    await members[0].send('42["flood",{"size":3,"count":5,"every":1}]')

    for member in members:
        assert [await member.hear() for _ in range(5)] == ['42["m","xxx"]'] * 5
        await member.leaves()


async def test_stats_tell_what_an_attack_would_grow(room):
    member = await room.joins()

    stats = await room.stats()

    names = {"rss", "lag_max", "engine_sockets", "queue", "tasks", "fds", "pending_binary"}
    assert names <= stats.keys()
    assert stats["engine_sockets"] == 1
    await member.leaves()


@pytest.mark.slow
async def test_a_member_that_never_reads_is_cut_while_the_other_hears_all(room):
    slow, bob = await room.joins(), await room.joins()
    slow.socket.transport.pause_reading()

    await bob.send('42["flood",{"size":50000,"count":300,"every":1}]')
    for _ in range(300):
        await bob.hear()

    await room.holds(lambda stats: stats["engine_sockets"] == 1)
    assert (await room.stats())["queue"] < 1_100_000
    slow.socket.transport.abort()
    await bob.leaves()


async def test_20_messages_of_924_kb_come_back_and_stall_nothing_for_long(room):
    member = await room.joins()
    huge = '421["echo","' + "x" * 924_000 + '"]'
    worst = 0.0

    for _ in range(20):
        before = time.thread_time()
        await member.send(huge)
        assert len(await member.hear()) > 924_000
        worst = max(worst, time.thread_time() - before)

    assert worst < 0.15  # of the processor; this loop is the client's too
    await member.leaves()


@pytest.mark.slow
async def test_20_huge_messages_at_once_all_come_back(room):
    member = await room.joins()
    huge = '421["echo","' + "x" * 924_000 + '"]'

    async def sends():
        for _ in range(20):
            await member.send(huge)

    sending = asyncio.ensure_future(sends())
    heard = [len(await member.hear()) for _ in range(20)]

    assert min(heard) > 924_000
    await sending
    await member.leaves()


@pytest.mark.slow
async def test_who_asks_for_answers_and_never_reads_them_is_out_within_5_s(room):
    slow = await room.joins()
    slow.socket.transport.pause_reading()

    async def sends():
        while True:
            await slow.send('421["echo","' + "x" * 100_000 + '"]')

    sending = asyncio.ensure_future(sends())
    await room.holds(lambda stats: stats["queue"] > 0)
    await room.holds(lambda stats: stats["engine_sockets"] == 0)

    sending.cancel()
    slow.socket.transport.abort()


async def test_announced_attachments_hold_nothing(room):
    member = await room.joins()

    await member.send('459999999999-1["echo",{"_placeholder":true,"num":0}]')

    await member.rest()
    await room.holds(lambda stats: stats["engine_sockets"] == 0 and stats["pending_binary"] == 0)


async def test_attachments_that_never_come_are_bounded(room):
    member = await room.joins()
    await member.send('458-1["echo",{"_placeholder":true,"num":7}]')
    for _ in range(2):
        await member.send(bytes(450_000))

    await room.holds(lambda stats: stats["pending_binary"] == 900_000)
    await member.send(bytes(450_000))

    await member.rest()
    await room.holds(lambda stats: stats["pending_binary"] == 0)


@pytest.mark.parametrize(
    "value", ["NaN", "1e999", '{"_placeholder":true,"num":99}', "[" * 900 + "]" * 900]
)
async def test_what_breaks_a_receiver_is_not_relayed(room, value):
    member = await room.joins()

    await member.send(f'421["echo",{value}]')

    assert all("43" not in text for text in await member.rest())


async def test_reserved_names_reach_no_handler(room):
    member = await room.joins()

    await member.send('421["connect",{}]')
    await member.send('422["disconnect"]')
    await member.send('423["echo"]')

    assert await member.hear() == "433[]"
    await member.leaves()


async def test_sockets_that_leave_leave_no_task(room):
    before = await room.stats()
    for _ in range(10):
        member = await room.joins()
        await member.leaves()

    await room.holds(lambda stats: stats["engine_sockets"] == 0)
    await room.holds(lambda stats: stats["tasks"] <= before["tasks"])
