"""What nodes say to each other about rooms and users: msgpack arrays, the first element a tag.

Channels: a room's id (port "r"), a user's id (port "u"), a node's id (port "n").
"""

from __future__ import annotations

import msgspec

from server.kernel.ids import DeviceId, EventId, LogId, RoomId, Seq, UserId
from storage.api import Event, EventType, Gone, Mentions


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
        found = _event.decode(self.own)
        content = None if bytes(found.content) == b"null" else msgspec.Raw(bytes(found.content))
        return Event(
            found.room_id, found.log_id, found.seq, found.id, found.at, found.type,
            found.sender_id, found.device_id, content, found.client_id, found.target_seq,
            found.reply_to, found.thread_seq, found.mentions, found.file_ids, found.expires_at,
            found.gone, self.n,
        )  # fmt: skip


class _EventJson(msgspec.Struct, frozen=True):
    """`storage.api.Event` as decoded: of a union with Raw the decoder takes null only."""

    room_id: RoomId
    log_id: LogId
    seq: Seq
    id: EventId
    at: int
    type: EventType
    sender_id: UserId
    device_id: DeviceId
    content: msgspec.Raw
    client_id: str | None = None
    target_seq: Seq | None = None
    reply_to: Seq | None = None
    thread_seq: Seq | None = None
    mentions: Mentions | None = None
    file_ids: tuple[str, ...] = ()
    expires_at: int | None = None
    gone: Gone | None = None


class Head(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """The log goes as far as this: whoever has heard less reads the rest."""

    seq: int


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


RoomFrame = Stored | Head | ToRoom
UserFrame = ToUser | Admitted | ReaderIn | ReaderOut | Blocked

_pack = msgspec.msgpack.Encoder().encode
_event = msgspec.json.Decoder(_EventJson)
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
