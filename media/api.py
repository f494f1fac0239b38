"""The seam of the packet plane: commands go in, reports come out, packets never pass.

Plain structs, so that the plane may be Python in this process, a child behind a Unix socket, or
another language. Nothing here waits for an answer: what became of a command is a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from server.kernel.ids import DeviceId, UserId

# ---- commands ------------------------------------------------------------------------------------


class OpenCall(msgspec.Struct, frozen=True, tag="open_call"):
    """Media of a call goes through the plane from now on. Of a call that is open with an older
    `generation` all peers are dropped first; an older generation than the open one is ignored.
    """

    call_id: str
    generation: int


class CloseCall(msgspec.Struct, frozen=True, tag="close_call"):
    """Nothing is reported of it any more. Fine for a call that is not open."""

    call_id: str


class AddPeer(msgspec.Struct, frozen=True, tag="add_peer"):
    """A device may connect. Of a device that is in already: nothing happens."""

    call_id: str
    device_id: DeviceId
    user_id: UserId


class DropPeer(msgspec.Struct, frozen=True, tag="drop_peer"):
    """Its connections are closed. Fine for a device that is not in."""

    call_id: str
    device_id: DeviceId


Command = OpenCall | CloseCall | AddPeer | DropPeer

# ---- reports -------------------------------------------------------------------------------------


class PeerConnected(msgspec.Struct, frozen=True, tag="peer_connected"):
    """Packets of the device arrive: ICE and DTLS are done, for the first time or again."""

    call_id: str
    device_id: DeviceId


class PeerLost(msgspec.Struct, frozen=True, tag="peer_lost"):
    """Consent ended or the connection closed; the peer may connect again until it is dropped."""

    call_id: str
    device_id: DeviceId


class CallFailed(msgspec.Struct, frozen=True, tag="call_failed"):
    """The plane cannot carry the call and has closed it. `reason`: a word for logs."""

    call_id: str
    reason: str


class PlaneStarted(msgspec.Struct, frozen=True, tag="plane_started"):
    """The first report of a plane's life, hence also: whatever was open before is gone."""


Report = PeerConnected | PeerLost | CallFailed | PlaneStarted


class PacketPlane(Protocol):
    """Commands take effect in the order given; reports of one call come in the order they
    happened.
    """

    def command(self, command: Command) -> None:
        """A plain call that queues. While the plane is away it is dropped: `PlaneStarted` tells
        that all is to be said again.
        """
        ...

    async def reports(self) -> Sequence[Report]:
        """Waits until there is at least one and takes all. One reader at a time; may be cancelled
        without losing any.
        """
        ...

    async def close(self) -> None: ...
