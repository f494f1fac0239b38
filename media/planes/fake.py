"""A packet plane without packets: who is added is connected at once. For tests of what is above."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from media.api import (
    AddPeer,
    CallFailed,
    CloseCall,
    Command,
    DropPeer,
    OpenCall,
    PeerConnected,
    PeerLost,
    PlaneStarted,
    Report,
)
from server.kernel.ids import DeviceId

WAITING = 10_000


class FakePlane:
    """Implements `media.api.PacketPlane`. `peers`: who is connected, by open call."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.peers: dict[str, dict[DeviceId, None]] = {}
        self._generations: dict[str, int] = {}
        self._away = False
        self._reports: deque[Report] = deque([PlaneStarted()], maxlen=WAITING)
        self._news = asyncio.Event()
        self._news.set()

    def command(self, command: Command) -> None:
        if self._away:
            return
        self.commands.append(command)
        match command:
            case OpenCall(call_id, generation):
                if generation > self._generations.get(call_id, -1):
                    self._generations[call_id] = generation
                    self.peers[call_id] = {}
            case CloseCall(call_id):
                self._close(call_id)
            case AddPeer(call_id, device_id):
                peers = self.peers.get(call_id)
                if peers is not None and device_id not in peers:
                    peers[device_id] = None
                    self._report(PeerConnected(call_id, device_id))
            case DropPeer(call_id, device_id):
                self.peers.get(call_id, {}).pop(device_id, None)

    async def reports(self) -> Sequence[Report]:
        while not self._reports:
            self._news.clear()
            await self._news.wait()
        taken = tuple(self._reports)
        self._reports.clear()
        return taken

    async def close(self) -> None:
        self.peers.clear()
        self._generations.clear()

    # ---- what may happen to one ------------------------------------------------------------------

    def loses(self, call_id: str, device_id: DeviceId) -> None:
        """A peer's packets stay away."""
        self._report(PeerLost(call_id, device_id))

    def fails(self, call_id: str, reason: str) -> None:
        self._close(call_id)
        self._report(CallFailed(call_id, reason))

    def dies(self) -> None:
        """SIGKILL: it knows nothing, and commands are lost until it `starts_again`."""
        self._away = True
        self.peers.clear()
        self._generations.clear()

    def starts_again(self) -> None:
        self._away = False
        self._report(PlaneStarted())

    def _close(self, call_id: str) -> None:
        self.peers.pop(call_id, None)
        self._generations.pop(call_id, None)

    def _report(self, report: Report) -> None:
        self._reports.append(report)
        self._news.set()
