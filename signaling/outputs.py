"""What the call core decides. A command is answered once: `Answered` or `Refused`, first of all."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from media.api import Command
from server.kernel.errors import AppError
from server.kernel.ids import DeviceId, NodeId, RoomId, SocketId, UserId
from signaling.inputs import Caller
from signaling.views import CallRecord, CallView, SavedCall


class At(msgspec.Struct, frozen=True):
    """A socket, and the node that has it."""

    node_id: NodeId
    socket_id: SocketId


@dataclass(frozen=True, slots=True)
class Answered:
    """`call` None: `{}`."""

    call: CallView | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """`why`: a word for logs and numbers."""

    error: AppError
    why: str


@dataclass(frozen=True, slots=True)
class Rung:
    """`call:ringing` to every device of these users; `only`: to one socket that just came up."""

    call: CallView
    user_ids: tuple[UserId, ...]
    expires_at: int
    only: At | None = None


@dataclass(frozen=True, slots=True)
class ToRoom:
    room_id: RoomId
    without: UserId | None = None


@dataclass(frozen=True, slots=True)
class ToUser:
    user_id: UserId
    without: At | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """`call:state`. `stops`: the users whose devices ring no more by it."""

    call: CallView
    to: ToRoom | ToUser | At
    stops: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """A socket came up: calls that ring nobody, by id and room. `Shown` are those in whose room its
    user is.
    """

    by: Caller
    calls: tuple[tuple[str, RoomId], ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """`call:signal`."""

    to: At
    call_id: str
    from_device_id: DeviceId
    signal: bytes
    """JSON."""


@dataclass(frozen=True, slots=True)
class Ended:
    """To be written to the room's log."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class Saved:
    """The call changed: what is to be kept of it beside the process."""

    call: SavedCall


@dataclass(frozen=True, slots=True)
class Commanded:
    """For the packet plane."""

    command: Command


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision with its reason, for the log and the metric."""

    what: str
    why: str
    call_id: str
    user_id: UserId | None = None


Output = Answered | Refused | Rung | Told | Offered | Carried | Ended | Saved | Commanded | Noted
