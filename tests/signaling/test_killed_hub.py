"""A real hub on real sockets is killed in the middle of a call."""

from __future__ import annotations

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from tests.support.process import ROOT
from tests.support.servers.base import Process, free_port

pytestmark = pytest.mark.slow


class Caller:
    """A person at a client that nobody here wrote."""

    def __init__(self, url: str, session: dict[str, Any]) -> None:
        self.url = url
        self.user_id: str = session["user"]["id"]
        self.device_id: str = session["device"]["id"]
        self.token: str = session["access_token"]
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.client = socketio.AsyncClient(reconnection=False)

    async def connects(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("*", lambda name, data: self.heard.put_nowait((name, data)))
        await self.client.connect(
            self.url, auth={"token": self.token}, transports=["websocket"], wait_timeout=5
        )

    async def asks(self, name: str, **payload: Any) -> Any:
        answer = await self.client.call(name, payload, timeout=5)
        assert answer["ok"], answer
        return answer["data"]

    async def hears(self, wanted: str, **fields: Any) -> Any:
        async with asyncio.timeout(5):
            while True:
                name, data = await self.heard.get()
                inner = data.get("call", data)
                if name == wanted and all(inner.get(k) == v for k, v in fields.items()):
                    return data


class Hub:
    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "server.main", "serve", "--port", str(port)]
        self.process = Process(
            "hub", [*command, "--data", str(folder / "data")], folder,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}"},
        )  # fmt: skip

    def starts(self) -> None:
        self.process.start(self._answers, within_s=30)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    opened = Hub(tmp_path)
    opened.starts()
    yield opened
    opened.process.stop()


async def two(url: str) -> tuple[Caller, Caller, str]:
    """Alice and Bob, connected, and their direct room."""
    async with aiohttp.ClientSession() as http:
        people = []
        for name in ("alice", "bob"):
            body = {"username": name, "password": f"a long one for {name}"}
            async with http.post(f"{url}/api/v1/accounts", json=body) as answer:
                people.append(Caller(url, await answer.json()))
        alice, bob = people
        headers = {"Authorization": f"Bearer {alice.token}"}
        room = {"kind": "direct", "member_ids": [bob.user_id]}
        async with http.post(f"{url}/api/v1/rooms", json=room, headers=headers) as answer:
            room_id: str = (await answer.json())["id"]
    await alice.connects()
    await bob.connects()
    return alice, bob, room_id


async def test_a_call_lives_on_after_its_hub_was_killed(hub: Hub) -> None:
    alice, bob, room_id = await two(hub.url)
    started = await alice.asks("call:start", room_id=room_id, media="audio")
    call_id = started["call"]["id"]
    rung = await bob.hears("call:ringing")
    await bob.asks("call:accept", call_id=call_id)
    await alice.hears("call:state", state="active")
    await asyncio.sleep(0.1)  # the row is on its way to the disk
    hub.process.kill()
    for each in (alice, bob):
        await each.client.disconnect()

    hub.starts()
    for each in (alice, bob):
        await each.connects()
    again = [await each.asks("call:accept", call_id=call_id) for each in (alice, bob)]
    restart = {"call_id": call_id, "to_device_id": alice.device_id, "signal": {"restart": True}}
    await bob.asks("call:signal", **restart)
    signal = await alice.hears("call:signal")
    await bob.asks("call:leave", call_id=call_id)
    event = await alice.hears("room:event", type="call")

    assert rung["call"]["id"] == call_id
    assert [each["call"]["state"] for each in again] == ["active", "active"]
    assert signal["from_device_id"] == bob.device_id
    assert (event["content"]["call_id"], event["content"]["outcome"]) == (call_id, "hung_up")
    for each in (alice, bob):
        await each.client.disconnect()
