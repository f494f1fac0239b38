"""What the call core is told. Commands were checked for their shape; their rooms were read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from media.api import Report
from server.kernel.ids import DeviceId, NodeId, RoomId, SocketId, UserId
from signaling.views import Media, SavedCall
from storage.api import Role


@dataclass(frozen=True, slots=True)
class Moment:
    """`s`: monotonic, for deadlines. `ms`: since the Unix epoch, for people."""

    s: float
    ms: int


class Caller(msgspec.Struct, frozen=True):
    """A device, by the socket it spoke through and the node that has the socket."""

    user_id: UserId
    device_id: DeviceId
    socket_id: SocketId
    node_id: NodeId = NodeId("")


class RoomFacts(msgspec.Struct, frozen=True):
    """A room as one member sees it now. `members`: all of them, himself included; None: too many to
    ring. `may_call`: neither blocked nor a mere reader.
    """

    room_id: RoomId
    direct: bool
    role: Role
    members: tuple[UserId, ...] | None
    may_call: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """`call_id`: the id if it becomes a new call."""

    by: Caller
    room: RoomFacts
    media: Media
    call_id: str


@dataclass(frozen=True, slots=True)
class Accept:
    by: Caller
    call_id: str
    room: RoomFacts
    take_over: bool = False


@dataclass(frozen=True, slots=True)
class Decline:
    by: Caller
    call_id: str


@dataclass(frozen=True, slots=True)
class Leave:
    by: Caller
    call_id: str


@dataclass(frozen=True, slots=True)
class End:
    by: Caller
    call_id: str
    role: Role


@dataclass(frozen=True, slots=True)
class Signal:
    by: Caller
    call_id: str
    to_device_id: DeviceId
    signal: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Mute:
    by: Caller
    call_id: str
    track_id: str
    muted: bool


@dataclass(frozen=True, slots=True)
class SocketUp:
    by: Caller


@dataclass(frozen=True, slots=True)
class SocketDown:
    by: Caller


@dataclass(frozen=True, slots=True)
class MemberOut:
    """Left the room or was removed from it."""

    room_id: RoomId
    user_id: UserId


@dataclass(frozen=True, slots=True)
class Restore:
    """A call that another process had, or this one before it was killed. Sockets of nodes that are
    not in `alive` are gone.
    """

    saved: SavedCall
    alive: Collection[NodeId] = ()


@dataclass(frozen=True, slots=True)
class Reported:
    """By the packet plane."""

    report: Report


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing but time."""


Command = Start | Accept | Decline | Leave | End | Signal | Mute
Input = Command | SocketUp | SocketDown | MemberOut | Restore | Reported | Tick
