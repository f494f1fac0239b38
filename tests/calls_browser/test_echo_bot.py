"""A page that knows only the wire calls the echo bot of `hubbub dev`: its own frames come back."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Playwright

from tests.calls_browser.conftest import CALL_FLAGS, FOREIGN, SOCKET_IO, Foreigner, eventually
from tests.support.process import Running, start_server
from tests.support.servers.base import missing

pytest.importorskip("aiortc")
pytestmark = [pytest.mark.slow, pytest.mark.browser]

FRAMES, PACKETS = 20, 50
_numbers = itertools.count()
RESTART = """
(async () => {
  const leg = devices.anna.leg;
  leg.pc.restartIce();
  await leg.pc.setLocalDescription();
  await leg.says({ description: leg.pc.localDescription.toJSON() });
})()
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("demo") / "data"
    with start_server(folder, command="dev") as running:
        yield running


@pytest.fixture
def anna(playwright: Playwright, demo: Running) -> Iterator[Foreigner]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        missing("Chromium", "install it (apt install chromium) or name it in CHROMIUM")
    if not SOCKET_IO.exists():
        missing("socket.io-client", "make web")
    browser = playwright.chromium.launch(
        executable_path=program, args=[*CALL_FLAGS, "--allow-loopback-in-peer-connection"]
    )
    page: Page = browser.new_context(bypass_csp=True).new_page()
    page.goto(demo.base_url + "/healthz")
    for script in (SOCKET_IO, FOREIGN):
        page.add_script_tag(path=script)
    person = Foreigner("anna", page)
    # Somebody else each time: the call before has its seconds of grace.
    person.joins(demo.base_url, f"anna{next(_numbers)}")
    yield person
    browser.close()


def room_with_echo(anna: Foreigner) -> str:
    found = anna.http("GET", "/api/v1/users?query=echo")["users"]
    room = anna.http("POST", "/api/v1/rooms", {"kind": "direct", "member_ids": [found[0]["id"]]})
    return str(room["id"])


def sees_herself(anna: Foreigner, more_than: int = 0) -> int:
    def came() -> int:
        stats = anna.stats()
        video, audio = stats.get("video"), stats.get("audio")
        frames = int((video or {}).get("frames") or 0)
        heard = int((audio or {}).get("packets") or 0)
        return frames if frames >= FRAMES + more_than and heard >= PACKETS else 0

    return int(eventually(came, anna.stats))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policy": "relay", "via": {"transport": "udp"}},
        {"policy": "relay", "via": {"transport": "tcp"}},
    ],
    ids=["host", "turn-udp", "turn-tcp"],
)
def test_what_a_page_shows_the_echo_bot_comes_back(
    anna: Foreigner, options: dict[str, object]
) -> None:
    anna.does("starts", room_with_echo(anna), "video", options)

    sees_herself(anna)

    local = anna.stats()["pair"]["local"]["candidateType"]
    assert (local == "relay") == bool(options)
    anna.does("leaves")
    ended = anna.hears("call:state", lambda one: one["call"]["state"] == "ended")
    assert ended["call"]["reason"] == "hung_up"


def test_a_page_that_restarts_ice_goes_on_seeing_itself(anna: Foreigner) -> None:
    anna.does("starts", room_with_echo(anna), "video", {})
    sees_herself(anna)
    before = anna.tab.evaluate("devices.anna.leg.pc.remoteDescription.sdp")

    anna.tab.evaluate(RESTART)

    def frames_of_the_new_connection() -> bool:
        after = anna.tab.evaluate("devices.anna.leg.pc.remoteDescription.sdp")
        return _fingerprint(after) != _fingerprint(before) and bool(sees_herself(anna))

    eventually(frames_of_the_new_connection, anna.told)
    anna.does("leaves")


def _fingerprint(sdp: str) -> str:
    return next(line for line in json.dumps(sdp).split("\\r\\n") if "a=fingerprint" in line)
