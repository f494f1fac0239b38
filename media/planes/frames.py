"""Commands and reports on the Unix socket between hub and media process.

A frame: 4 bytes length, big endian, and that many bytes of MessagePack, one tagged struct.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec

from media.planes.reports import Command, Report
from media.planes.settings import PlaneSettings

T = TypeVar("T")

FRAME_BYTES = 1_048_576
WAITING_BYTES = 4_194_304
"""Of the other side's unread frames; past it, it has stopped reading."""


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """The first frame to the child."""

    settings: PlaneSettings
    log_level: str = "info"
    log_format: str = "json"


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """From the child: it turns."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """From the child, its last: it cannot open its sockets. `reason` is the system's."""

    reason: str


ToChild = Configure | Command
FromChild = Beat | Refused | Report
_encoder = msgspec.msgpack.Encoder()
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


class Torn(Exception):
    """The other side closed, or what it sends is no frame."""


def encode(value: ToChild | FromChild) -> bytes:
    body = _encoder.encode(value)
    return len(body).to_bytes(4, "big") + body


async def read_command(reader: asyncio.StreamReader) -> ToChild:
    """Raises Torn."""
    return _decoded(_to_child, await _body(reader))


async def read_report(reader: asyncio.StreamReader) -> FromChild:
    """Raises Torn."""
    return _decoded(_from_child, await _body(reader))


async def _body(reader: asyncio.StreamReader) -> bytes:
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > FRAME_BYTES:
            raise Torn(f"a frame of {size} bytes")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Torn("closed") from error


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise Torn(str(error)) from error
