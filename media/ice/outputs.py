"""What the agent asks its shell to do, or tells it."""

from __future__ import annotations

from dataclasses import dataclass

from media.wire.addresses import Address

Path = tuple[int, Address]
"""The number of our socket or TCP connection, and the peer's address as that socket names it."""


@dataclass(frozen=True, slots=True)
class Send:
    path: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class Selected:
    """From now on packets for the connection go to `path`.

    `why`: "first" (validated), "nominated", "roamed" (the peer's address changed), "restarted",
    "fallback" (the one before is gone).
    """

    connection: str
    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing may be sent any more until a check arrives: "consent" ended, or the path is "gone"
    with its TCP connection.
    """

    connection: str
    why: str


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A check of our own was answered."""

    connection: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """Nothing came of a datagram; `reason` is for a counter."""

    reason: str


Output = Send | Selected | Lost | RoundTrip | Dropped
