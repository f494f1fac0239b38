"""One fan-out for several parts of a node: each has a prefix of channels and listens alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from storage.api import Fanout, Heard


class Ports:
    """Listens on `fanout` for all parts. Every port is opened before the first is subscribed."""

    def __init__(self, fanout: Fanout) -> None:
        self._ports: dict[str, Port] = {}
        self.fanout = fanout
        fanout.listen(self._heard, self._restored)

    def open(self, prefix: str) -> Port:
        """`prefix` has no colon; the port's channel "x" is "prefix:x" outside."""
        assert ":" not in prefix, prefix
        assert prefix not in self._ports, prefix
        port = self._ports[prefix] = Port(self.fanout, f"{prefix}:")
        return port

    def _heard(self, channel: str, data: bytes) -> None:
        prefix, _, name = channel.partition(":")
        port = self._ports.get(prefix)
        if port is not None and port.heard is not None:
            port.heard(name, data)

    def _restored(self) -> None:
        for port in self._ports.values():
            if port.restored is not None:
                port.restored()


class Port:
    """Implements `storage.api.Fanout` for the channels of one prefix."""

    def __init__(self, fanout: Fanout, prefix: str) -> None:
        self.heard: Heard | None = None
        self.restored: Callable[[], None] | None = None
        self._fanout = fanout
        self._prefix = prefix

    @property
    def connected(self) -> bool:
        return self._fanout.connected

    @property
    def counters(self) -> Mapping[str, int]:
        """Of all ports together."""
        return self._fanout.counters

    def listen(self, heard: Heard, restored: Callable[[], None]) -> None:
        self.heard, self.restored = heard, restored

    def publish(self, channel: str, data: bytes) -> None:
        self._fanout.publish(self._prefix + channel, data)

    async def subscribe(self, channels: Collection[str]) -> None:
        await self._fanout.subscribe([self._prefix + channel for channel in channels])

    async def unsubscribe(self, channels: Collection[str]) -> None:
        await self._fanout.unsubscribe([self._prefix + channel for channel in channels])
