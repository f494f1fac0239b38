"""A real Chromium on the one port: its own picture, sound and messages come back to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright

from media.connections import ConnectionStats, ConnectionUp, IceParameters, PathChosen, RestartIce
from media.ice.checks import new_credentials
from tests.support.browsing import FLAGS
from tests.support.network import Network
from tests.support.one_port import House, answer_to, host_candidate, house, remote_end
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.browser]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
CALL_FLAGS = [
    *FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
]  # fmt: skip
ADDRESS = "http://127.0.0.1:9/"
OFFER = """
async () => {
  const pc = window.pc = new RTCPeerConnection();
  window.heard = [];
  const channel = window.channel = pc.createDataChannel("talk");
  channel.onopen = () => channel.send("hello");
  channel.onmessage = event => window.heard.push(event.data);
  const media = await navigator.mediaDevices.getUserMedia(
    {audio: true, video: {width: 320, height: 180, frameRate: 15}});
  for (const track of media.getTracks()) pc.addTrack(track, media);
  pc.ontrack = event => {
    if (event.track.kind !== "video") return;
    const video = document.createElement("video");
    video.muted = video.autoplay = true;
    video.srcObject = new MediaStream([event.track]);
    document.body.append(video);
  };
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
}
"""
RESTART = """
async () => {
  pc.restartIce();
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
}
"""
ANSWER = "sdp => pc.setRemoteDescription({type: 'answer', sdp})"
DECODED = """
async () => [...(await pc.getStats()).values()]
  .filter(one => one.type === "inbound-rtp")
  .map(one => [one.kind, one.framesDecoded ?? one.packetsReceived])
"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH (or in CHROMIUM)")
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CALL_FLAGS
        )
        opened = await browser.new_page()
        await opened.route(
            ADDRESS, lambda route: route.fulfill(body="<body>", content_type="text/html")
        )
        await opened.goto(ADDRESS)
        yield opened
        await browser.close()


async def frames(page: Page) -> int:
    counts = dict(await page.evaluate(DECODED))
    return counts.get("video", 0)


async def sees(page: Page, more_than: int) -> int:
    """Waits until more frames than that were decoded."""
    for _ in range(300):
        seen = await frames(page)
        if seen > more_than:
            return seen
        await page.wait_for_timeout(100)
    raise AssertionError(f"{await page.evaluate(DECODED)}")


async def connects(
    page: Page, opened: House, protocol: str, *, candidate: str | None = None
) -> str:
    offer = await page.evaluate(OFFER)
    command = opened.open(remote_end(offer))
    ready = await opened.ready()
    candidates = [one for one in ready.candidates if f" {protocol} " in one]
    if candidate is not None:
        candidates = [candidate]
    await page.evaluate(ANSWER, answer_to(offer, command.local, ready.fingerprint, candidates))
    return command.connection_id


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_page_sees_its_own_picture_come_back(page: Page, protocol: str) -> None:
    async with house() as opened:
        await connects(page, opened, protocol)

        assert await sees(page, 10) > 10
        await until(lambda: opened.heard(ConnectionUp))
        assert await page.evaluate("heard") == ["hello"]
        assert [one.protocol for one in opened.heard(PathChosen)][-1] == protocol


async def test_a_page_whose_nat_forgets_it_is_followed_at_once(page: Page, seed: int) -> None:
    async with house() as opened:
        nat = await Network.before(opened.udp, seed)
        await connects(page, opened, "udp", candidate=host_candidate(*nat.address))
        await sees(page, 10)
        freezes = []

        for _ in range(3):
            await page.wait_for_timeout(700)
            nat.forgets()
            await until(lambda: nat.media_after_s is not None)
            freezes.append(nat.media_after_s)

        nat.close()
        # Beyond what a check of the browser's own would take, 2.5 s apart.
        assert max(freezes) < 0.5, freezes
        first, *later = [one.why for one in opened.heard(PathChosen)]
        assert first == "first"
        assert len(later) == 3
        assert set(later) <= {"roamed", "nominated"}  # such a check may be there before the media


async def test_a_page_restarts_ice_and_goes_on_with_the_same_keys(page: Page) -> None:
    async with house() as opened:
        name = await connects(page, opened, "udp")
        before = await sees(page, 5)
        offer = await page.evaluate(RESTART)
        fresh = new_credentials()
        local = IceParameters(fresh.ufrag, fresh.password)
        opened.plane.command(RestartIce(name, local, remote_end(offer).ice))
        ready = await opened.ready()

        answer = answer_to(offer, local, ready.fingerprint, [ready.candidates[0]])
        await page.evaluate(ANSWER, answer)

        await until(lambda: opened.plane._port.ice._by_ufrag.keys() == {fresh.ufrag})
        assert await sees(page, before + 30)
        assert len(opened.heard(ConnectionUp)) == 1
        stats = await opened.hears(ConnectionStats)
        assert stats.rtt_ms is not None
        assert stats.rtt_ms < 1_000
