"""What the call core is told. Commands were checked for their shape; their rooms were read.

What another node may tell has a tag.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from media.api import Report
from server.kernel.ids import DeviceId, NodeId, RoomId, SocketId, UserId
from signaling.views import CallRecord, Media, SavedCall
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


class Start(msgspec.Struct, frozen=True, tag="start"):
    """`call_id`: the id if it becomes a new call."""

    by: Caller
    room: RoomFacts
    media: Media
    call_id: str


class Accept(msgspec.Struct, frozen=True, tag="accept"):
    by: Caller
    call_id: str
    room: RoomFacts
    take_over: bool = False


class Decline(msgspec.Struct, frozen=True, tag="decline"):
    by: Caller
    call_id: str


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    by: Caller
    call_id: str


class End(msgspec.Struct, frozen=True, tag="end"):
    by: Caller
    call_id: str
    role: Role


class Signal(msgspec.Struct, frozen=True, tag="signal"):
    by: Caller
    call_id: str
    to_device_id: DeviceId
    signal: bytes
    """JSON."""


class Mute(msgspec.Struct, frozen=True, tag="mute"):
    by: Caller
    call_id: str
    track_id: str
    muted: bool


class SocketUp(msgspec.Struct, frozen=True, tag="socket_up"):
    by: Caller


class SocketDown(msgspec.Struct, frozen=True, tag="socket_down"):
    by: Caller


class MemberOut(msgspec.Struct, frozen=True, tag="member_out"):
    """Left the room or was removed from it."""

    room_id: RoomId
    user_id: UserId


@dataclass(frozen=True, slots=True)
class MemberIn:
    """Came into the room."""

    room_id: RoomId
    user_id: UserId


@dataclass(frozen=True, slots=True)
class Shown:
    """The user of a socket that came up is in the room of this call."""

    by: Caller
    call_id: str


@dataclass(frozen=True, slots=True)
class DeviceOut:
    """Its last login has ended: it cannot come back."""

    user_id: UserId
    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class NodesLeft:
    """All nodes that live: sockets of others are gone."""

    alive: Collection[NodeId]


@dataclass(frozen=True, slots=True)
class Restore:
    """A call that another process had, or this one before it was killed. Sockets of nodes that are
    not in `alive` are gone.
    """

    saved: SavedCall
    alive: Collection[NodeId] = ()


@dataclass(frozen=True, slots=True)
class Recall:
    """A call that is over, its event logged: who asks for it hears so."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class Reported:
    """By the packet plane."""

    report: Report


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing but time."""


Command = Start | Accept | Decline | Leave | End | Signal | Mute
Moved = SocketUp | SocketDown | Shown | MemberIn | MemberOut | DeviceOut
Input = Command | Moved | NodesLeft | Restore | Recall | Reported | Tick
