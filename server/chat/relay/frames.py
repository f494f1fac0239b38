"""What nodes say to each other about rooms and users: msgpack arrays, the first element a tag.

Channels: a room's id (port "r"), a user's id (port "u"), a node's id (port "n").
"""

from __future__ import annotations

import msgspec

from storage.api import Event


class Stored(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """An event of the room's log. `own`: its JSON as its sender gets it, encoded once for all
    nodes. `n` is not in it.
    """

    seq: int
    kind: str
    sender_id: str
    client_id: str | None
    n: int
    own: bytes

    @property
    def event(self) -> Event:
        found = msgspec.json.decode(self.own, type=Event)
        return msgspec.structs.replace(found, n=self.n)


class ToRoom(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """An event that is in no log (typing, receipts). `payload`: JSON."""

    name: str
    payload: bytes
    without: str | None = None
    ephemeral: bool = False


class ToUser(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    name: str
    payload: bytes
    ephemeral: bool = False


class Admitted(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """The user is in a room whose log he hears from `after` on; 0: all of it, the room is new."""

    room_id: str
    after: int


class ReaderIn(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """The user reads a broadcast room from now on."""

    room_id: str


class ReaderOut(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    room_id: str
    reason: str


class Blocked(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """`by_id` lets `blocked_id` write to him no more, or again; both channels hear it."""

    by_id: str
    blocked_id: str
    on: bool


RoomFrame = Stored | ToRoom
UserFrame = ToUser | Admitted | ReaderIn | ReaderOut | Blocked

_pack = msgspec.msgpack.Encoder().encode
_room: msgspec.msgpack.Decoder[RoomFrame] = msgspec.msgpack.Decoder(RoomFrame)
_user: msgspec.msgpack.Decoder[UserFrame] = msgspec.msgpack.Decoder(UserFrame)


def pack(frame: RoomFrame | UserFrame) -> bytes:
    return _pack(frame)


def read_room_frame(data: bytes) -> RoomFrame:
    """Raises msgspec.DecodeError for what a newer node may say: it is skipped, the log has it."""
    return _room.decode(data)


def read_user_frame(data: bytes) -> UserFrame:
    """Raises msgspec.DecodeError."""
    return _user.decode(data)


def stored(event: Event, own: bytes) -> Stored:
    return Stored(event.seq, event.type, event.sender_id, event.client_id, event.n, own)
