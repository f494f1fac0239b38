"""Two Chromium in a call through a bad network: it lives, and it recovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.calls_faults.meeting import Meeting, meeting
from tests.calls_faults.weathers import OUTAGE_S, WEATHERS, Figures, weather

pytestmark = [pytest.mark.slow, pytest.mark.browser]
LIVES_FPS = 1.0
"""A picture that moves; the machine may be busy."""
STANDS = ("10 s outage", "address change")
"""Meanwhile the picture may stand: all of the time, or until the silence is noticed and mended."""


@pytest.fixture
async def met(tmp_path: Path, seed: int) -> AsyncIterator[Meeting]:
    async with meeting(tmp_path, seed) as made:
        yield made


async def undergoes(met: Meeting, name: str) -> Figures:
    during = OUTAGE_S if name == "10 s outage" else 3.0
    return await weather(met, name, before_s=1.0, during_s=during, after_s=4.0)


async def test_a_relayed_call_lives_through_bad_networks_and_recovers(met: Meeting) -> None:
    await met.relays()
    call_id = await met.calls()

    found = {name: await undergoes(met, name) for name in WEATHERS}

    for name, figures in found.items():
        assert figures.fps_after >= LIVES_FPS, (name, figures)
        assert name in STANDS or figures.fps_during >= LIVES_FPS, (name, figures)
    await met.ends_once(call_id)


async def test_a_direct_call_survives_a_new_address(met: Meeting) -> None:
    await met.goes_directly()
    call_id = await met.calls()

    found = await undergoes(met, "address change")

    assert found.fps_after >= LIVES_FPS, found
    await met.ends_once(call_id)


@pytest.mark.parametrize("way", ["relayed", "direct"])
async def test_a_call_is_there_again_when_all_of_ones_network_was_gone(
    met: Meeting, way: str
) -> None:
    """Signals wait on both sides meanwhile, for peer connections of which some are no more."""
    await (met.relays() if way == "relayed" else met.goes_directly())
    call_id = await met.calls()

    for gone_s in (8.0, 4.0):
        met.loses_all()
        await asyncio.sleep(gone_s)
        met.has_all_again()
        await asyncio.gather(met.alice.sees(30), met.bob.sees(30))

    await met.ends_once(call_id)
