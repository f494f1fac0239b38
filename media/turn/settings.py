"""What an operator decides about the relay, and the bounds of every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from media.wire.addresses import Address
from server.kernel.logs import Secret

REALM_BYTES = 56
"""With the longest realm a challenge has 160 bytes: what a stranger may make us send."""


@dataclass(frozen=True, slots=True)
class RelayHost:
    """Where relay sockets are bound, and the host that clients and peers see (both numeric)."""

    bind: str
    public: str


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """The media port: as peers name it, and as it is reached from this machine."""

    public: Address
    wire: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSettings:
    """Raises ValueError where the values contradict each other."""

    relays: tuple[RelayHost, ...]
    """At most one of each family; a family without one is not offered."""
    realm: str = "hubbub"
    secrets: tuple[Secret, ...] = ()
    """Sign time-limited credentials; several while one is being replaced."""
    users: Mapping[str, Secret] = field(default_factory=dict)
    """Fixed accounts: username and password."""
    first_port: int = 49_152
    last_port: int = 65_535
    own: tuple[OwnAddress, ...] = ()
    allowed_peers: tuple[str, ...] = ()
    """Networks that may be peers although they are loopback, private or otherwise special."""
    refused_peers: tuple[str, ...] = ()
    """Networks that may not, whatever they are."""
    anonymity: bool = False
    """True: the nonce asks for USERHASH instead of USERNAME. Time-limited names must then be told
    by `TicketIssued`. A USERHASH that is known is accepted either way.
    """
    default_lifetime_s: int = 600
    max_lifetime_s: int = 3600
    max_age_s: float = 86_400.0
    """An allocation ends then, however often it is refreshed: its credential is long over."""
    nonce_s: float = 600.0
    allocations: int = 2_000
    user_allocations: int = 20
    user_bps: int = 20_000_000
    """Both directions of all allocations of a user; 0: no limit. In any second a quarter more may
    pass, of limits below 4 Mbit/s up to half as much more (`media.turn.quotas.burst_of`)."""
    total_bps: int = 0
    permissions: int = 256
    """Of each allocation."""
    channels: int = 256
    """Of each allocation."""
    stranger_per_s: int = 20
    """Answers in any second to one source address (IPv6: one /64) that has not shown a credential;
    0: no limit. The first answer on a TCP connection comes even so."""
    strangers: int = 10_000
    tickets: int = 10_000

    def __post_init__(self) -> None:
        if len(self.realm.encode()) > REALM_BYTES or not self.realm:
            raise ValueError(f"the realm must have 1 to {REALM_BYTES} bytes")
        if not 1024 <= self.first_port <= self.last_port <= 65_535:
            raise ValueError("the relay ports must be a range within 1024..65535")
        if not 0 < self.default_lifetime_s <= self.max_lifetime_s:
            raise ValueError("the default lifetime must be above 0 and at most the longest")
        families = [":" in relay.public for relay in self.relays]
        if len(families) != len(set(families)):
            raise ValueError("there can be one relay host of each address family")
