"""The one port over a network that loses, delays, reorders, narrows and falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from media.connections import ConnectionDown, ConnectionUp, PathChosen
from tests.support.network import Network, Weather
from tests.support.one_port import House, aiortc_peer, host_candidate, house
from tests.support.waiting import until

pytestmark = pytest.mark.slow

BAD = {
    "loss": Weather(loss=0.10, delay_s=0.02),
    "jitter": Weather(delay_s=0.02, jitter_s=0.2),
    "narrow": Weather(delay_s=0.02, bps=300_000),
}
MESSAGES = [f"message {number}" for number in range(20)]


@pytest.fixture
async def opened() -> AsyncIterator[House]:
    async with house() as made:
        yield made


class Talk:
    """A data channel on which everything said is to come back."""

    def __init__(self) -> None:
        self.back: list[object] = []
        self.channel: object = None

    def prepare(self, peer: object) -> None:
        self.channel = peer.createDataChannel("talk")
        self.channel.on("message", self.back.append)

    @property
    def is_open(self) -> bool:
        return self.channel.readyState == "open"


@pytest.mark.parametrize("weather", BAD.values(), ids=BAD.keys())
async def test_a_connection_comes_up_and_loses_no_message(
    opened: House, seed: int, weather: Weather
) -> None:
    network, talk = await Network.before(opened.udp, seed), Talk()
    network.weather = weather
    try:
        async with aiortc_peer(opened, talk.prepare, candidate=host_candidate(*network.address)):
            await until(lambda: talk.is_open, 20)
            for message in MESSAGES:
                talk.channel.send(message)
            await until(lambda: len(talk.back) == len(MESSAGES), 30)
    finally:
        network.close()

    assert talk.back == MESSAGES
    assert len(opened.heard(ConnectionUp)) == 1


async def test_ten_seconds_of_silence_and_a_new_address_end_nothing(
    opened: House, seed: int
) -> None:
    network, talk = await Network.before(opened.udp, seed), Talk()
    try:
        async with aiortc_peer(opened, talk.prepare, candidate=host_candidate(*network.address)):
            await until(lambda: talk.is_open, 20)
            network.weather = Weather(loss=1.0)
            talk.channel.send("into the silence")
            await asyncio.sleep(10)
            network.weather = Weather()
            network.forgets()
            await until(lambda: talk.back, 20)
            told = opened.heard(ConnectionDown), [one.why for one in opened.heard(PathChosen)]
    finally:
        network.close()

    assert talk.back == ["into the silence"]
    assert told == ([], ["first", "roamed"])
