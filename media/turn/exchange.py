"""What goes into the server and what comes out: plain values that a shell carries."""

from __future__ import annotations

from dataclasses import dataclass

from media.wire.addresses import Address

Flow = tuple[int, Address]
"""The 5-tuple: the shell's number of the socket (or connection) it came by, and the client."""


@dataclass(frozen=True, slots=True)
class FromClient:
    """One datagram, or one message cut out of a stream."""

    flow: Flow
    data: bytes


@dataclass(frozen=True, slots=True)
class FromPeer:
    """A datagram that came to the relay socket `relay`."""

    relay: int
    peer: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class RelaysOpened:
    """Answers OpenRelays: all of them are bound."""

    relays: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RelaysRefused:
    """Answers OpenRelays: none is bound, a port was taken."""

    relays: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlowOpened:
    """A connection: the address is its owner's, and a request on it is never repeated."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class FlowClosed:
    """The connection is gone; its allocation goes with it."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class TicketIssued:
    """A time-limited username that clients may show as USERHASH."""

    username: str


@dataclass(frozen=True, slots=True)
class UserRevoked:
    """All allocations of the user end now, and his tickets that expire by `tickets_until` (Unix
    seconds; 0: none) are good no more.
    """

    user_id: str
    tickets_until: int = 0


Input = (
    FromClient
    | FromPeer
    | RelaysOpened
    | RelaysRefused
    | FlowOpened
    | FlowClosed
    | TicketIssued
    | UserRevoked
)


@dataclass(frozen=True, slots=True)
class ToClient:
    flow: Flow
    data: bytes


@dataclass(frozen=True, slots=True)
class ToPeer:
    relay: int
    peer: Address
    data: bytes
    dont_fragment: bool = False


@dataclass(frozen=True, slots=True)
class OpenRelays:
    """Bind UDP sockets to `host` and these ports, all or none; answer with `relays`."""

    relays: tuple[int, ...]
    host: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CloseRelay:
    relay: int


@dataclass(frozen=True, slots=True)
class AllocationOpened:
    """For the log."""

    allocation: int
    user_id: str


@dataclass(frozen=True, slots=True)
class AllocationClosed:
    """For the log. `relayed_bytes`: payload, both directions."""

    allocation: int
    user_id: str
    reason: str
    relayed_bytes: int
    lasted_s: float


Output = ToClient | ToPeer | OpenRelays | CloseRelay | AllocationOpened | AllocationClosed
