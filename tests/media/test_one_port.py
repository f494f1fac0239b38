"""The one-port transport with real peers: ICE, DTLS, SRTP and data channels over UDP and TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from media import api
from media.connections import ConnectionUp
from tests.support.one_port import House, aiortc_peer, house


@pytest.fixture
async def opened() -> AsyncIterator[House]:
    async with house() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("role", ["server", "client"])
async def test_a_message_on_a_data_channel_comes_back(opened: House, role: str) -> None:
    said: list[object] = []
    back = asyncio.Event()

    def prepare(peer: object) -> None:
        channel = peer.createDataChannel("talk")
        channel.on("open", lambda: (channel.send("hello"), channel.send(bytes(50_000))))
        channel.on("message", lambda message: (said.append(message), len(said) > 1 and back.set()))

    async with aiortc_peer(opened, prepare, role=role):
        async with asyncio.timeout(15):
            await back.wait()

    assert said == ["hello", bytes(50_000)]
    assert opened.heard(ConnectionUp)
    assert opened.heard(api.PeerConnected)
