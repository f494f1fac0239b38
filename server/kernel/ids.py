"""Identifiers: opaque, time-ordered strings (UUIDv7, RFC 9562 section 5.7), one type for each
idea.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Annotated, NewType, Protocol

import msgspec

UserId = NewType("UserId", str)
DeviceId = NewType("DeviceId", str)
SessionId = NewType("SessionId", str)
SocketId = NewType("SocketId", str)
NodeId = NewType("NodeId", str)
RoomId = NewType("RoomId", str)
LogId = NewType("LogId", str)
EventId = NewType("EventId", str)
FileId = NewType("FileId", str)
Seq = NewType("Seq", int)

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""An id as it comes from a client: opaque, 1..64 characters."""

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z", re.I)


class Ids(Protocol):
    """Makes identifiers. `at_ms` is the time they carry, milliseconds since the Unix epoch."""

    def new(self, at_ms: int) -> str: ...


class RandomIds:
    """Unguessable UUIDv7s: 48 bits of time, 74 random bits."""

    def new(self, at_ms: int) -> str:
        return uuid7(at_ms, os.urandom)


def uuid7(at_ms: int, random_bytes: Callable[[int], bytes]) -> str:
    """A UUIDv7 dated `at_ms`. Layout: 48 bits time, 4 version, 12 random, 2 variant, 62 random."""
    time, noise = f"{at_ms & (1 << 48) - 1:012x}", random_bytes(10).hex()
    variant = "89ab"[int(noise[3], 16) & 0b11]
    return f"{time[:8]}-{time[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"


def uuid7_time_ms(text: str) -> int | None:
    """The time a UUIDv7 carries, milliseconds since the Unix epoch; None when `text` is not one."""
    if _UUID7.match(text) is None:
        return None
    return int(text[:8] + text[9:13], 16)
