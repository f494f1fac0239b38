"""SIGKILL in the middle of a call between two Chromium: of the media process, and of the hub."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.calls_faults.meeting import Meeting, Talker, meeting
from tests.support.lateness import lateness

pytestmark = [pytest.mark.slow, pytest.mark.browser]
BACK_S = 5.0
"""From when the port is served again."""
SAMPLE_S = 0.25


@pytest.fixture
async def met(tmp_path: Path, seed: int) -> AsyncIterator[Meeting]:
    async with meeting(tmp_path, seed) as made:
        yield made


async def kill_media(met: Meeting) -> None:
    """Returns when its successor listens."""
    os.kill(met.media_pid, signal.SIGKILL)
    await asyncio.sleep(0.2)
    await met.media_listens()


async def kill_hub(met: Meeting) -> None:
    """The media process goes with it. Returns when both are there again."""
    met.server.kill()
    await asyncio.sleep(0.2)
    await asyncio.to_thread(met.hub_comes_back)


async def back_after(met: Meeting) -> float:
    """Seconds until both see more frames than they had, less those in which we could not look."""
    async with lateness() as late:
        took = max(await asyncio.gather(met.alice.sees(5), met.bob.sees(5)))
    return took - late.seconds


async def longest_standstill(talker: Talker, since: float) -> float:
    """Between two samples with more frames, in seconds; not those when the page took no samples."""
    samples = [one for one in await talker.samples() if one["at"] / 1000 >= since]
    longest = still = 0.0
    for before, sample in itertools.pairwise(samples):
        still += min((sample["at"] - before["at"]) / 1000, 2 * SAMPLE_S)
        longest = max(longest, still)
        if sample["frames"] > before["frames"]:
            still = 0.0
    return longest


async def is_back(met: Meeting) -> bool:
    states = [await talker.state() for talker in (met.alice, met.bob)]
    return all(one["phase"] == "connected" and one["online"] == "online" for one in states)


async def wait_until_back(met: Meeting, within_s: float = 15.0) -> float:
    """How long that took, likewise."""
    began = time.monotonic()
    async with lateness() as late, asyncio.timeout(within_s):
        while not await is_back(met):  # noqa: ASYNC110 (the page tells nobody)
            await asyncio.sleep(0.1)
    return time.monotonic() - began - late.seconds


def tell(what: str, seconds: float) -> None:
    sys.stdout.write(f"\n{what}: {seconds:.1f} s")


async def test_a_relayed_call_is_back_after_its_relay_and_its_hub_were_killed(
    met: Meeting,
) -> None:
    await met.relays()
    call_id = await met.calls()

    await kill_media(met)
    after_media = await back_after(met)
    tell("relayed, media process killed: frames back after", after_media)
    await asyncio.sleep(2)
    await kill_hub(met)
    after_hub = await back_after(met)
    tell("relayed, hub killed: frames back after", after_hub)

    assert after_media <= BACK_S
    assert after_hub <= BACK_S
    await wait_until_back(met)
    await met.ends_once(call_id)


async def test_a_direct_call_does_not_notice_and_is_the_same_call_afterwards(
    met: Meeting,
) -> None:
    await met.goes_directly()
    call_id = await met.calls()
    began = time.time()

    await kill_media(met)
    await asyncio.sleep(1)
    await kill_hub(met)
    back = await wait_until_back(met)
    tell("direct, hub killed: signaling back after", back)
    await back_after(met)

    for talker in (met.alice, met.bob):
        assert await longest_standstill(talker, began) < 2.0
    assert back <= BACK_S
    await met.ends_once(call_id)
