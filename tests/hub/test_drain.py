"""Drain: who waits for an answer gets it first, the others go, spread over the time given."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from server.hub import hub as hub_module
from tests.support.hub_house import hub_house
from tests.support.lateness import lateness

GOODBYE = ['42["session:ended",{"reason":"shutdown"}]', "1"]


@pytest.fixture
async def house():
    async with hub_house() as running:
        yield running


async def test_an_answer_under_way_comes_before_the_goodbye(house):
    member = await house.joins("alice")
    await member.send('427["wait",{}]')
    await asyncio.sleep(0.02)

    draining = asyncio.create_task(house.hub.drain(0))
    await asyncio.sleep(0.1)
    house.gate.set()
    await draining

    assert await member.rest() == ['437[{"ok":true,"data":{}}]', *GOODBYE]


async def test_who_waits_holds_up_nobody_else(house):
    waiting, other = await house.joins("alice"), await house.joins("bob")
    await waiting.send('427["wait",{}]')
    await asyncio.sleep(0.02)

    draining = asyncio.create_task(house.hub.drain(0))

    assert await other.rest() == GOODBYE
    house.gate.set()
    await draining


async def test_nothing_more_is_read_from_who_waits(house):
    member = await house.joins("alice")
    await member.send('427["wait",{}]')
    await asyncio.sleep(0.02)
    draining = asyncio.create_task(house.hub.drain(0))
    await asyncio.sleep(0.06)

    await member.send('428["free",{"value":1}]')
    await asyncio.sleep(0.02)
    house.gate.set()
    await draining

    assert await member.rest() == ['437[{"ok":true,"data":{}}]', *GOODBYE]


async def test_an_answer_that_does_not_come_holds_up_the_end_for_a_bounded_time(house, monkeypatch):
    monkeypatch.setattr(hub_module, "ACKS_S", 0.1)
    member = await house.joins("alice")
    await member.send('427["wait",{}]')
    await asyncio.sleep(0.02)

    await house.hub.drain(0)

    assert await member.rest() == GOODBYE


@pytest.mark.slow
async def test_sockets_are_sent_away_spread_over_the_time(house):
    members = [await house.joins(f"user{number}") for number in range(20)]
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ends(member) -> float:
        await member.rest()
        return loop.time() - began

    async with lateness() as late:
        ending = [asyncio.create_task(ends(member)) for member in members]
        await house.hub.drain(1.0)
        times = sorted(await asyncio.gather(*ending))

    assert times[0] < 0.4 + late.seconds
    assert times[-1] > 0.7
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.4 + late.seconds
