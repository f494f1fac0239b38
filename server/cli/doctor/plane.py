"""A media process of the doctor's own, as the server starts one; what comes to it goes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from media.api import AddPeer, OpenCall
from media.connections import IceParameters, OpenConnection, PlaneReady, RemoteEnd
from media.ice.checks import new_credentials
from media.planes.child import ChildPlane
from media.planes.frames import Configure
from media.planes.settings import PlaneSettings
from server.kernel.ids import DeviceId, UserId

READY_S = 6.0
MAPPED_S = 3.0
_CALL, _DEVICE, _USER = "examination", DeviceId("doctor"), UserId("doctor")


class Refused(Exception):
    """The media process does not start; the text is the system's."""


class EchoPlane:
    def __init__(self, plane: ChildPlane) -> None:
        self._plane = plane
        self._heard: list[PlaneReady] = []
        self._news = asyncio.Event()
        self._connections = 0

    async def listen(self) -> None:
        while True:
            told = await self._plane.reports()
            self._heard += [report for report in told if isinstance(report, PlaneReady)]
            self._news.set()

    async def ready(self) -> PlaneReady:
        """Raises Refused."""
        give_up = asyncio.get_running_loop().time() + READY_S
        while not self._heard:
            if self._plane.refused is not None:
                raise Refused(self._plane.refused)
            if asyncio.get_running_loop().time() > give_up:
                raise Refused(f"it says nothing for {READY_S:.0f} s")
            await self._wait(0.05)
        self._plane.command(OpenCall(_CALL, 1))
        self._plane.command(AddPeer(_CALL, _DEVICE, _USER))
        return self._heard[-1]

    async def mapped(self) -> PlaneReady | None:
        """With the address that the STUN server saw; None: it did not answer."""
        give_up = asyncio.get_running_loop().time() + MAPPED_S
        while len(self._heard) < 2 and asyncio.get_running_loop().time() < give_up:
            await self._wait(0.05)
        return self._heard[-1] if len(self._heard) > 1 else None

    def open(self, peer: RemoteEnd) -> IceParameters:
        """A connection that sends everything back; its name and password."""
        self._connections += 1
        fresh = new_credentials()
        local = IceParameters(fresh.ufrag, fresh.password)
        self._plane.command(
            OpenConnection(
                f"examination-{self._connections}", _CALL, _DEVICE, local, peer, echo=True
            )
        )
        return local

    async def _wait(self, seconds: float) -> None:
        """Until something is told, but no longer: a refusal is not."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()


@asynccontextmanager
async def echo_plane(settings: PlaneSettings, log_level: str) -> AsyncIterator[EchoPlane]:
    child = ChildPlane(Configure(settings, log_level, "json"))
    plane = EchoPlane(child)
    child.start()
    listening = asyncio.create_task(plane.listen())
    try:
        yield plane
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await child.close()
