"""A client that nobody here wrote: python-socketio's own, polling first, then upgraded."""

from __future__ import annotations

import asyncio

import pytest
import socketio

from tests.scenarios.conftest import Come

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("transports", [["polling", "websocket"], ["polling"], ["websocket"]])
async def test_python_socketio_hears_and_sends(server, come: Come, transports: list[str]):
    alice = await come()
    room = await alice.client.create_room(name="garden")
    heard: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    async with _connected(server, alice, transports) as foreign:
        foreign.on("room:event", heard.put)

        sent = await room.send("hello")
        event = await asyncio.wait_for(heard.get(), 5)
        typed = await foreign.call("typing:set", {"room_id": room.id, "typing": True})

        assert (event["seq"], event["content"]["body"]) == (sent.seq, "hello")
        assert typed == {"ok": True, "data": {}}
        assert foreign.transport() == transports[-1]


class _connected:
    def __init__(self, server, person, transports: list[str]) -> None:
        self._url, self._person, self._transports = server.base_url, person, transports
        self._client = socketio.AsyncClient(reconnection=False)

    async def __aenter__(self) -> socketio.AsyncClient:
        token = self._person.client.session.access_token
        await self._client.connect(
            self._url, auth={"token": token}, transports=self._transports, wait_timeout=5
        )
        return self._client

    async def __aexit__(self, *error: object) -> None:
        await self._client.disconnect()
