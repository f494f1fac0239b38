"""Which calls are open on this plane, who may connect to them, and who is connected."""

from __future__ import annotations

from collections.abc import Iterable

from media import api
from media.connections import OpenConnection
from media.planes.connection import Connection

Peer = tuple[str, str]


class Calls:
    """The book-keeping behind the commands of `media.api`; packets never ask it."""

    def __init__(self) -> None:
        self._generations: dict[str, int] = {}
        self._peers: dict[Peer, set[str]] = {}
        """Names of the connections that are up, for each call and device."""

    def admits(self, command: OpenConnection) -> bool:
        return (command.call_id, command.device_id) in self._peers

    def command(self, command: api.Command, connections: Iterable[Connection]) -> list[Connection]:
        """Takes effect; answers the connections that have no place any more."""
        match command:
            case api.OpenCall(call, generation):
                known = self._generations.get(call)
                if known is not None and known >= generation:
                    return []
                self._forget(call)
                self._generations[call] = generation
            case api.CloseCall(call):
                self._forget(call)
                self._generations.pop(call, None)
            case api.AddPeer(call, device):
                if call in self._generations:
                    self._peers.setdefault((call, device), set())
            case api.DropPeer(call, device):
                self._peers.pop((call, device), None)
        return [one for one in connections if (one.call_id, one.device_id) not in self._peers]

    def connected(self, connection: Connection) -> api.PeerConnected | None:
        """The report, if it is the first connection of the device that is up."""
        up = self._peers.get((connection.call_id, connection.device_id))
        if up is None or connection.id in up:
            return None
        up.add(connection.id)
        if len(up) > 1:
            return None
        return api.PeerConnected(connection.call_id, connection.device_id)

    def lost(self, connection: Connection) -> api.PeerLost | None:
        """The report, if it was the last one that was up."""
        up = self._peers.get((connection.call_id, connection.device_id))
        if up is None or connection.id not in up:
            return None
        up.discard(connection.id)
        return None if up else api.PeerLost(connection.call_id, connection.device_id)

    def _forget(self, call: str) -> None:
        for peer in [known for known in self._peers if known[0] == call]:
            del self._peers[peer]
