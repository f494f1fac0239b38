"""A media process with TURN, and two clients of it whose packets to each other are counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aioice.turn

from media.connections import PlaneCounts, PlaneReady
from media.planes.child import ChildPlane
from media.planes.frames import Configure
from media.planes.settings import PlaneSettings, TurnOptions
from server.kernel.logs import Secret
from signaling.tickets import password

SECRET = "between the hub and its relay"
HOST = "127.0.0.1"
PACKET_S = 0.02


def ticket(user: str) -> tuple[str, str]:
    """Name and password for TURN."""
    name = f"{int(time.time()) + 3600}:{user}"
    return name, password(Secret(SECRET), name)


class MediaProcess:
    """What the child told."""

    def __init__(self, plane: ChildPlane) -> None:
        self.plane = plane
        self.ready: PlaneReady | None = None
        self.counts: PlaneCounts | None = None

    async def listen(self) -> None:
        while True:
            for report in await self.plane.reports():
                if isinstance(report, PlaneReady):
                    self.ready = report
                elif isinstance(report, PlaneCounts):
                    self.counts = report

    @property
    def udp(self) -> tuple[str, int]:
        assert self.ready is not None
        return HOST, self.ready.port

    @property
    def tcp(self) -> tuple[str, int]:
        assert self.ready is not None
        assert self.ready.tcp_port is not None
        return HOST, self.ready.tcp_port

    @property
    def resident_kib(self) -> int:
        return int(Path(f"/proc/{self.plane.pid}/statm").read_text().split()[1]) * 4


@asynccontextmanager
async def media_process() -> AsyncIterator[MediaProcess]:
    options = TurnOptions(secrets=(SECRET,))
    settings = PlaneSettings(hosts=(HOST,), tcp_port=0, turn=options)
    plane = ChildPlane(Configure(settings, log_level="warning"))
    plane.start()
    process = MediaProcess(plane)
    listener = asyncio.create_task(process.listen())
    try:
        async with asyncio.timeout(20):
            while process.ready is None:  # noqa: ASYNC110 (nothing announces it)
                await asyncio.sleep(0.02)
        yield process
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await plane.close()


class Ear(asyncio.DatagramProtocol):
    """Counts what comes, and how long it took."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.took_s: list[float] = []

    def datagram_received(self, data: bytes, address: object) -> None:
        self.numbers.add(int.from_bytes(data[:4], "big"))
        self.took_s.append(time.monotonic() - int.from_bytes(data[4:12], "big") / 1e9)


class Talk:
    """Two clients who send each other 50 packets a second through the relay, both ways."""

    def __init__(self, transport: str = "udp") -> None:
        self._transport = transport
        self._ends: list[asyncio.DatagramTransport] = []
        self.ears: list[Ear] = []
        self.sent = 0

    async def open(self, process: MediaProcess) -> None:
        target = process.udp if self._transport == "udp" else process.tcp
        for user in ("anna", "bert"):
            end, ear = await aioice.turn.create_turn_endpoint(
                Ear, target, *ticket(user), transport=self._transport
            )
            self._ends.append(end)
            self.ears.append(ear)
        self._relayed = [end.get_extra_info("sockname") for end in self._ends]
        # The first packets bind the channels; what meets no permission yet is lost.
        for _ in range(10):
            self._say(0)
            await asyncio.sleep(0.05)
        for ear in self.ears:
            ear.numbers.clear()
            ear.took_s.clear()

    async def goes_on(self, seconds: float) -> None:
        for _ in range(int(seconds / PACKET_S)):
            self.sent += 1
            self._say(self.sent)
            await asyncio.sleep(PACKET_S)
        await asyncio.sleep(0.3)

    @property
    def loss(self) -> float:
        heard = sum(len(ear.numbers) for ear in self.ears)
        return 1 - heard / (2 * self.sent)

    @property
    def p99_ms(self) -> float:
        took = sorted(took for ear in self.ears for took in ear.took_s)
        return round(took[int(len(took) * 0.99)] * 1000, 1)

    def _say(self, number: int) -> None:
        head = number.to_bytes(4, "big") + time.monotonic_ns().to_bytes(8, "big")
        for end, other in zip(self._ends, reversed(self._relayed), strict=True):
            end.sendto(head + bytes(148), other)

    def close(self) -> None:
        for end in self._ends:
            end.close()
