"""Messages between the nodes of one process: each listener has a line for each publisher."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection

from server.kernel.ids import NodeId
from storage.api import Heard

Drop = Callable[[NodeId, str, bytes], bool]
"""(publisher, channel, data): True: it is lost on its way to everybody."""


class Air:
    """What carries messages from node to node. `drop` loses some. With a seed, lines run late by a
    few loop turns and past one another; the order of each publisher stays.
    """

    def __init__(self, seed: int | None) -> None:
        self.drop: Drop | None = None
        self.nodes: dict[NodeId, MemoryFanout] = {}
        self._random = None if seed is None else random.Random(seed)

    def carry(self, publisher: NodeId, channel: str, data: bytes) -> bool:
        if self.drop is not None and self.drop(publisher, channel, data):
            return False
        for node_id, listener in self.nodes.items():
            if node_id != publisher:
                listener.receive(publisher, channel, data)
        return True

    def arrivals(self, lines: dict[NodeId, deque[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
        """What of these lines arrives in this loop turn."""
        found: list[tuple[str, bytes]] = []
        publishers = sorted(lines)
        if self._random is not None:
            self._random.shuffle(publishers)
        for publisher in publishers:
            line = lines[publisher]
            count = len(line)
            if self._random is not None:
                count = self._random.randint(0, count)
            found.extend(line.popleft() for _ in range(count))
            if not line:
                del lines[publisher]
        return found


class MemoryFanout:
    """Implements `storage.api.Fanout`."""

    def __init__(self, node_id: NodeId, air: Air) -> None:
        self.counters = dict.fromkeys(("published", "dropped", "heard", "reconnects"), 0)
        self._node_id = node_id
        self._air = air
        self._channels: set[str] = set()
        self._lines: dict[NodeId, deque[tuple[str, bytes]]] = {}
        self._heard: Heard | None = None
        self._restored: Callable[[], None] | None = None
        self._connected = True
        self._due = False
        air.nodes[node_id] = self

    @property
    def connected(self) -> bool:
        return self._connected

    def listen(self, heard: Heard, restored: Callable[[], None]) -> None:
        assert self._heard is None, "listen is called once"
        self._heard, self._restored = heard, restored

    def publish(self, channel: str, data: bytes) -> None:
        there = self._connected and self._air.carry(self._node_id, channel, data)
        self.counters["published" if there else "dropped"] += 1

    async def subscribe(self, channels: Collection[str]) -> None:
        self._channels.update(channels)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        self._channels.difference_update(channels)

    def cut(self) -> None:
        """What was on its way here is lost with the connection."""
        self._connected = False
        self._lines.clear()

    def heal(self) -> None:
        if self._connected:
            return
        self._connected = True
        self.counters["reconnects"] += 1
        if self._restored is not None:
            asyncio.get_running_loop().call_soon(self._restored)

    def close(self) -> None:
        self.cut()
        if self._air.nodes.get(self._node_id) is self:
            del self._air.nodes[self._node_id]

    def receive(self, publisher: NodeId, channel: str, data: bytes) -> None:
        if not self._connected or channel not in self._channels:
            return
        self._lines.setdefault(publisher, deque()).append((channel, data))
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._due = False
        for channel, data in self._air.arrivals(self._lines):
            if channel in self._channels and self._heard is not None:
                self.counters["heard"] += 1
                self._heard(channel, data)
        if self._lines:
            self._call_soon()
