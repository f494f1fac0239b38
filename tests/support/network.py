"""A bad network before a UDP port: it loses, delays and reorders by a seed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from media.wire.demux import Kind, kind_of

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Weather:
    """Of each direction. `jitter_s`: up to so much is added to each datagram's way, so that they
    overtake each other; `late`: this share of them is held back by `late_s` more; `bps`: 0 is no
    limit; what would wait longer than `queue_s` is lost.
    """

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    late: float = 0.0
    late_s: float = 0.06
    bps: int = 0
    queue_s: float = 0.3


class Network:
    """`await before(target)`; peers send to `address`. One socket to the target for each peer."""

    def __init__(self, target: Address, seed: int) -> None:
        self._target = target
        self._chance = random.Random(seed)
        self._sides: dict[Address, asyncio.DatagramTransport] = {}
        self._front: asyncio.DatagramTransport
        self._free_at = [0.0, 0.0]
        self.weather = Weather()
        self.lost = self.carried = 0
        self._forgot_at = 0.0
        self.media_after_s: float | None = None
        """From the last `forgets` to the first RTP that came back."""

    @classmethod
    async def before(cls, target: Address, seed: int) -> Network:
        made = cls(target, seed)
        loop = asyncio.get_running_loop()
        made._front, _ = await loop.create_datagram_endpoint(
            lambda: _Front(made), local_addr=("127.0.0.1", 0)
        )
        return made

    @property
    def address(self) -> Address:
        name: Address = self._front.get_extra_info("sockname")
        return name

    def forgets(self) -> None:
        """As a NAT does: whoever sends next has a new address."""
        for side in self._sides.values():
            side.close()
        self._sides.clear()
        self._forgot_at, self.media_after_s = asyncio.get_running_loop().time(), None

    def close(self) -> None:
        self.forgets()
        self._front.close()

    async def there(self, data: bytes, peer: Address) -> None:
        side = self._sides.get(peer)
        if side is None:
            loop = asyncio.get_running_loop()
            side, _ = await loop.create_datagram_endpoint(
                lambda: _Side(self, peer), remote_addr=self._target
            )
            if peer in self._sides:
                side.close()
            side = self._sides.setdefault(peer, side)
        side.sendto(data)

    def back(self, data: bytes, peer: Address) -> None:
        if self.media_after_s is None and kind_of(data) is Kind.RTP:
            self.media_after_s = asyncio.get_running_loop().time() - self._forgot_at
        self._front.sendto(data, peer)

    def carry(self, direction: int, data: bytes, peer: Address) -> None:
        """0: to the target, 1: back."""
        loop, weather = asyncio.get_running_loop(), self.weather
        way = weather.delay_s + self._chance.random() * weather.jitter_s
        if weather.late and self._chance.random() < weather.late:
            way += weather.late_s
        lost = self._chance.random() < weather.loss
        if weather.bps:
            begin = max(loop.time(), self._free_at[direction])
            lost = lost or begin - loop.time() > weather.queue_s
            if not lost:
                self._free_at[direction] = begin + len(data) * 8 / weather.bps
                way += self._free_at[direction] - loop.time()
        if lost:
            self.lost += 1
            return
        self.carried += 1
        loop.call_later(way, self._deliver, direction, data, peer)

    def _deliver(self, direction: int, data: bytes, peer: Address) -> None:
        if self._front.is_closing():
            return
        if direction == 0:
            task = asyncio.ensure_future(self.there(data, peer))
            task.add_done_callback(lambda done: done.exception())
        else:
            self.back(data, peer)


class Networks:
    """One weather before several ports, which are found one after the other."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ways: dict[Address, Network] = {}
        self._weather = Weather()
        self._opening = asyncio.Lock()

    @property
    def weather(self) -> Weather:
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        for way in self._ways.values():
            way.weather = weather

    @property
    def carried(self) -> int:
        return sum(way.carried for way in self._ways.values())

    async def to(self, target: Address) -> Address:
        """Where to send what is for `target`."""
        async with self._opening:
            way = self._ways.get(target)
            if way is None:
                way = await Network.before(target, self._seed + len(self._ways))
                way.weather = self._weather
                self._ways[target] = way
            return way.address

    def forgets(self) -> None:
        for way in self._ways.values():
            way.forgets()

    def close(self) -> None:
        for way in self._ways.values():
            way.close()


class _Front(asyncio.DatagramProtocol):
    def __init__(self, network: Network) -> None:
        self._network = network

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._network.carry(0, data, addr)


class _Side(asyncio.DatagramProtocol):
    def __init__(self, network: Network, peer: Address) -> None:
        self._network = network
        self._peer = peer

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._network.carry(1, data, self._peer)
