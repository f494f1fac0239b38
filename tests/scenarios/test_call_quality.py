"""Two people call each other at a real server; their devices tell how it was."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hubbub import HubbubError
from hubbub.errors import NotFound

from tests.support.call_windows import posted
from tests.support.process import Running, start_server
from tests.support.sdk_callers import People, Person, people
from tests.support.waiting import until

pytestmark = pytest.mark.slow


class Restartable:
    """A server that comes back on its port with its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.running: Running = start_server(folder)

    def restarts(self) -> None:
        self.running.kill()
        self.running.stop()
        self.running = start_server(self._folder, port=self.running.port)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Restartable]:
    opened = Restartable(tmp_path / "data")
    yield opened
    opened.running.stop()


@pytest.fixture
async def house(server: Restartable) -> AsyncIterator[People]:
    async with people(server.running.base_url) as opened:
        yield opened


async def tells(person: Person, call_id: str, *windows: dict[str, Any], **more: Any) -> Any:
    body = {"windows": windows, **more}
    return await person.client.call("POST", f"/calls/{call_id}/quality", body, answer=dict)


async def asks(person: Person, call_id: str) -> Any:
    return await person.client.call("GET", f"/calls/{call_id}/quality", answer=dict)


def read_metrics(base_url: str) -> str:
    with urllib.request.urlopen(base_url + "/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


async def test_a_bad_call_is_explained_to_those_who_were_in_it(
    house: People, server: Restartable
) -> None:
    alice, bob, eve = await house.join("alice"), await house.join("bob"), await house.join("eve")
    room = await house.direct(alice, bob.id)
    await until(lambda: room.id in bob.client.rooms)
    call = await alice.client.calls.start(room.id, "video")
    await bob.client.calls.accept((await bob.rings()).call.id)
    await until(lambda: call.info.state == "active")
    now = int(time.time() * 1000)
    pair = {"local": "relay", "remote": "host", "protocol": "udp", "relay_protocol": "tls"}

    # The server's clock lets a device be ten seconds off: these are of the call's first moments.
    fine = await tells(alice, call.id, posted(now - 4_000, 4_000), setup_ms=310)
    await tells(bob, call.id, posted(now - 4_000, 4_000, audio_lost=150, freezes=1, freeze_ms=900))
    await call.leave()
    assert await bob.hears_end() == "hung_up"
    server.restarts()  # killed: what was told is on disk
    assert len((await asks(bob, call.id))["participants"]) == 2
    bad = await tells(bob, call.id, posted(now, 2_000, reconnecting_ms=2_000), pair=pair)

    assert 4.3 < fine["mos"] < 4.5
    assert bad["mos"] < 3
    shown = await asks(alice, call.id)
    assert shown == await asks(bob, call.id)
    by_user = {each["user_id"]: each for each in shown["participants"]}
    first, second = by_user[alice.id], by_user[bob.id]
    assert (first["verdict"], first["reasons"], first["setup_ms"]) == ("good", [], 310)
    assert (second["verdict"], len(second["windows"]), second["pair"]) == ("bad", 2, pair)
    words = {each["reason"] for each in second["reasons"]}
    assert words == {"loss", "freezes", "reconnecting", "relay"}
    with pytest.raises(NotFound):
        await asks(eve, call.id)
    with pytest.raises(NotFound):
        await tells(eve, call.id)
    with pytest.raises(HubbubError) as refused:
        await tells(bob, call.id, {**posted(now, 2_000), "frames": -1})
    assert (refused.value.code, refused.value.field) == ("invalid", "windows.frames")


async def test_the_feature_and_the_numbers_can_be_seen(house: People, server: Restartable) -> None:
    alice, bob = await house.join("alice"), await house.join("bob")
    room = await house.direct(alice, bob.id)
    call = await alice.client.calls.start(room.id)
    await tells(alice, call.id, posted(int(time.time() * 1000) - 2_000, 2_000), setup_ms=310)

    info = await alice.client.server_info()
    numbers = await asyncio.to_thread(read_metrics, server.running.base_url)

    assert "call_quality" in info.features
    assert 'hubbub_call_setup_seconds_bucket{le="0.5"} 1.0' in numbers
    assert "hubbub_call_mos_count 1.0" in numbers
