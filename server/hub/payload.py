"""The packet check: what a client sent, read by PROTOCOL section 5 before anything acts on it.

Everything is read strictly by `server.kernel.json`, then laid into the event's Struct: 3.2 us for
a message of 120 characters. msgspec straight into the Struct takes the last of duplicate keys and
lets U+0000 through; the scan that would catch both costs 3.4 us alone, so there is no short way.
"""

from __future__ import annotations

import re
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from server.kernel.errors import Invalid
from server.kernel.json import decode_strict
from server.kernel.shapes import fit

_T = TypeVar("_T", bound=msgspec.Struct)

RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""Names that Socket.IO libraries use themselves; a client's event of that name is never run."""

MAX_ATTACHMENTS = 8
MAX_ATTACHMENT_BYTES = 1_000_000
"""PROTOCOL section 5: more announced or sent closes the socket."""

_EVENT = re.compile(r'2([0-9]{0,16})\[[ \t\r\n]*"([^"\\\x00-\x1f]{0,128})"[ \t\r\n]*([,\]])')
_HEADER = re.compile(r"([0-6])(?:([0-9]{1,10})-)?(?:(/[^,\x00-\x1f]{0,128})(?:,|\Z))?([0-9]{0,16})")


class BadPacket(Exception):
    """What came is no Socket.IO packet, or none that may come now: the socket closes."""


class Header(NamedTuple):
    """The front of a packet. `kind` is the type digit, `ack` the digits of its id or "".

    `body` is where the JSON text begins in the packet; `attachments` 0 in text packets.
    """

    kind: str
    attachments: int
    namespace: str
    ack: str
    body: int


class Event(NamedTuple):
    """An EVENT packet of the namespace `/`: `raw` is the text of its arguments after the name."""

    ack: str
    name: str
    raw: str


def read_event(packet: str) -> Event | None:
    """The parts of an EVENT of `/` as all clients write it; None: another type, or written oddly.

    `raw` is the unchecked text of the remaining arguments, "" when there are none.
    """
    front = _EVENT.match(packet)
    if front is None or packet[-1] != "]":
        return None
    ack, name, mark = front.groups()
    if mark == "]":
        return Event(ack, name, "") if front.end() == len(packet) else None
    return Event(ack, name, packet[front.end() : -1])


def read_header(packet: str) -> Header:
    """Read what stands before the JSON text.

    Raises:
        BadPacket: no packet type, or an attachment count or ack id of too many digits.
    """
    front = _HEADER.match(packet)
    if front is None:
        raise BadPacket("unknown packet type")
    kind, count, namespace, ack = front.groups()
    end = front.end()
    if packet[end : end + 1].isdigit() or (count is not None) != (kind in "56"):
        raise BadPacket("malformed packet header")
    namespace = (namespace or "/").partition("?")[0]
    return Header(kind, int(count or 0), namespace, ack, end)


def read_arguments(text: str) -> list[Any]:
    """The JSON array of an EVENT or ACK, strictly read.

    Raises:
        Invalid: by any rule of section 5, or it is not an array that begins with a name.
    """
    values = decode_strict(text)
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        raise Invalid("An event is an array that begins with its name.")
    return values


class Shape(Generic[_T]):
    """Reads the one payload object of an event into its Struct."""

    __slots__ = ("type",)

    def __init__(self, shape: type[_T]) -> None:
        self.type = shape

    def decode(self, raw: str) -> _T:
        """Raises Invalid, with `field` where one is to blame. `raw`: see `Event`."""
        return self.convert(decode_strict(raw) if raw else None)

    def convert(self, value: Any) -> _T:
        if not isinstance(value, dict):
            raise Invalid("The payload must be exactly one object.")
        return fit(value, self.type)


def connect_token(text: str) -> str:
    """The `token` of a CONNECT payload; "" when there is none. Unknown fields are ignored.

    Raises:
        BadPacket: the payload is not JSON.
    """
    if not text:
        return ""
    try:
        value = decode_strict(text)
    except Invalid as refusal:
        raise BadPacket("CONNECT payload") from refusal
    token = value.get("token") if isinstance(value, dict) else None
    return token if isinstance(token, str) else ""
