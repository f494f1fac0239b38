"""What nodes tell each other of calls: msgpack arrays, the first element a tag.

Channels: a node's id, and "all".
"""

from __future__ import annotations

from typing import Any

import msgspec

from server.kernel.errors import CODES, AppError, Internal
from server.kernel.ids import NodeId, RoomId, SocketId, UserId
from signaling.inputs import Caller, Command
from signaling.outputs import Answered
from signaling.views import CallView

EVERYBODY = "all"


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    """To the node that carries the call."""

    number: int
    node_id: NodeId
    command: Command


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """`code` None: `call` (None: `{}`)."""

    number: int
    call: CallView | None = None
    code: str | None = None
    text: str = ""
    field: str | None = None
    retry_after_s: float | None = None
    data: dict[str, Any] | None = None


class Deliver(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """For a socket of the node that hears this. `payload`: JSON."""

    socket_id: SocketId
    name: str
    payload: bytes


class Sockets(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """Came and went at the node that says this, in this order: first all that went."""

    downs: list[Caller]
    ups: list[Caller]


class Probe(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """Are they still there? Those that are not are told as gone to `node_id`."""

    node_id: NodeId
    callers: list[Caller]


class Gone(msgspec.Struct, frozen=True, array_like=True, tag="g"):
    """No member any more."""

    room_id: RoomId
    user_id: UserId


Frame = Ask | Reply | Deliver | Sockets | Probe | Gone

pack = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def read(data: bytes) -> Frame:
    """Raises msgspec.DecodeError for what a newer node may say."""
    return _decoder.decode(data)


def refusal_reply(number: int, error: AppError) -> Reply:
    data = None if error.data is None else dict(error.data)
    return Reply(number, None, error.code, error.text, error.field, error.retry_after_s, data)


def answer_of(reply: Reply) -> Answered:
    """Raises the AppError that it carries."""
    if reply.code is None:
        return Answered(reply.call)
    kind = CODES.get(reply.code, Internal)
    if kind is Internal:
        raise Internal()
    raise kind(reply.text, field=reply.field, retry_after_s=reply.retry_after_s, data=reply.data)
