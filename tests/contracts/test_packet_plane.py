"""What every packet plane promises: the fake, Python's, and Python's behind a Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from media import api
from media.connections import (
    ConnectionReport,
    IceParameters,
    OpenConnection,
    PlaneReady,
)
from media.ice.checks import new_credentials
from media.planes.child import ChildPlane
from media.planes.fake import FakePlane
from media.planes.frames import Configure
from media.planes.python import PythonPlane
from media.planes.settings import PlaneSettings
from tests.support.one_port import Peer

SETTINGS = PlaneSettings(hosts=("127.0.0.1",))
WAIT_S = 15.0


class Planes:
    """A plane, and devices that connect to it in its own way."""

    def __init__(self, plane: FakePlane | PythonPlane | ChildPlane) -> None:
        self.plane = plane
        self.told: list[object] = []
        self._ready: PlaneReady | None = None
        self._peers: list[Peer] = []

    async def hears(self, report: object) -> None:
        """Until it was told."""
        async with asyncio.timeout(WAIT_S):
            while report not in self.told:
                await self._read()

    async def is_ready(self) -> None:
        async with asyncio.timeout(WAIT_S):
            while self._ready is None and not isinstance(self.plane, FakePlane):
                await self._read()

    async def _read(self) -> None:
        for one in await self.plane.reports():
            self._ready = one if isinstance(one, PlaneReady) else self._ready
            if not isinstance(one, ConnectionReport):
                self.told.append(one)

    async def connects(self, call: str, device: str) -> None:
        """What the device does once it is added; the fake takes it for done."""
        if isinstance(self.plane, FakePlane):
            return
        peer, local = Peer(), new_credentials()
        self._peers.append(peer)
        theirs = IceParameters(local.ufrag, local.password)
        name = f"{call}-{device}-{len(self._peers)}"
        self.plane.command(OpenConnection(name, call, device, theirs, peer.end()))
        peer.knows(theirs)
        words = self._ready.candidates[0].split()
        await peer.on_udp((words[4], int(words[5])))
        await peer.checks()
        await peer.shakes()

    def add(self, call: str, device: str) -> None:
        self.plane.command(api.AddPeer(call, device, "user"))

    async def close(self) -> None:
        for peer in self._peers:
            peer.close()
        await self.plane.close()


async def _python() -> PythonPlane:
    plane = PythonPlane(SETTINGS)
    await plane.open()
    return plane


async def _child() -> ChildPlane:
    plane = ChildPlane(Configure(SETTINGS, log_level="warning"))
    plane.start()
    return plane


async def _fake() -> FakePlane:
    return FakePlane()


@pytest.fixture(
    params=[_fake, _python, pytest.param(_child, marks=pytest.mark.slow)],
    ids=["fake", "python", "child"],
)
async def planes(request: pytest.FixtureRequest) -> AsyncIterator[Planes]:
    make: Callable[[], object] = request.param
    made = Planes(await make())
    try:
        await made.hears(api.PlaneStarted())
        await made.is_ready()
        yield made
    finally:
        await made.close()


async def test_the_first_report_is_that_it_started(planes: Planes) -> None:
    assert planes.told == [api.PlaneStarted()]


async def test_a_peer_that_was_added_and_connects_is_told(planes: Planes) -> None:
    planes.plane.command(api.OpenCall("call", 1))
    planes.add("call", "device")
    await planes.connects("call", "device")

    await planes.hears(api.PeerConnected("call", "device"))


async def test_of_a_call_that_is_not_open_nothing_is_told(planes: Planes) -> None:
    planes.plane.command(api.CloseCall("nowhere"))
    planes.plane.command(api.DropPeer("nowhere", "device"))
    planes.add("nowhere", "device")
    planes.plane.command(api.OpenCall("call", 1))
    planes.add("call", "device")
    await planes.connects("call", "device")

    await planes.hears(api.PeerConnected("call", "device"))

    assert planes.told == [api.PlaneStarted(), api.PeerConnected("call", "device")]


async def test_who_was_dropped_may_be_added_and_connect_again(planes: Planes) -> None:
    planes.plane.command(api.OpenCall("call", 1))
    planes.add("call", "device")
    await planes.connects("call", "device")
    await planes.hears(api.PeerConnected("call", "device"))
    planes.told.clear()

    planes.plane.command(api.DropPeer("call", "device"))
    planes.add("call", "device")
    await planes.connects("call", "device")

    await planes.hears(api.PeerConnected("call", "device"))


async def test_a_newer_generation_begins_without_peers_and_an_older_one_is_ignored(
    planes: Planes,
) -> None:
    planes.plane.command(api.OpenCall("call", 2))
    planes.add("call", "alice")
    await planes.connects("call", "alice")
    await planes.hears(api.PeerConnected("call", "alice"))
    planes.told.clear()

    planes.plane.command(api.OpenCall("call", 1))
    planes.add("call", "alice")
    planes.plane.command(api.OpenCall("call", 3))
    planes.add("call", "alice")
    await planes.connects("call", "alice")

    await planes.hears(api.PeerConnected("call", "alice"))
    assert planes.told == [api.PeerConnected("call", "alice")]


async def test_a_reader_that_is_cancelled_loses_nothing(planes: Planes) -> None:
    reading = asyncio.ensure_future(planes.plane.reports())
    await asyncio.sleep(0)
    reading.cancel()
    planes.plane.command(api.OpenCall("call", 1))
    planes.add("call", "device")
    await planes.connects("call", "device")

    await planes.hears(api.PeerConnected("call", "device"))
