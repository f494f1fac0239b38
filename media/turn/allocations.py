"""One allocation: its relayed addresses, whom it may talk to, and its channels."""

from __future__ import annotations

from weakref import WeakSet

from media.turn.credentials import Account
from media.turn.exchange import Flow
from media.turn.lifetimes import CHANNEL_S, PERMISSION_S
from media.turn.quotas import User
from media.wire.addresses import Address, family_of


class Relayed:
    """A relay socket. Without `allocation` it is reserved: the odd port after an even one, which
    counts as an allocation of its `holder` until it is one or its time is over.
    """

    __slots__ = ("allocation", "family", "heard_by", "holder", "host", "port", "relay", "until")

    def __init__(self, relay: int, *, host: str, port: int, family: int, until: float) -> None:
        self.relay = relay
        self.host = host
        self.port = port
        self.family = family
        self.until = until
        self.allocation: Allocation | None = None
        self.holder: User | None = None
        self.heard_by: WeakSet[Channel] = WeakSet()
        """Channels of other allocations, and of this one, that have our address as their peer."""

    @property
    def address(self) -> Address:
        """As peers see it."""
        return (self.host, self.port) if ":" not in self.host else (self.host, self.port, 0, 0)


class Permission:
    """A host that may send to the client. `own`: only from ports of ours."""

    __slots__ = ("own", "until")

    def __init__(self, *, own: bool, until: float) -> None:
        self.own = own
        self.until = until


class Channel:
    """A number for a peer. It is also a permission for this one address, as long as it lives."""

    __slots__ = ("__weakref__", "head", "peer", "relay", "until", "wire")

    def __init__(self, head: bytes, *, peer: Address, wire: Address, relay: int) -> None:
        self.head = head
        self.peer = peer
        self.wire = wire
        self.relay = relay
        self.until = 0.0


class Allocation:
    """`transaction` and `response` answer a repeated Allocate; hosts and peers below are those
    that packets really come from (`Peers.wire`).
    """

    __slots__ = (
        "account", "born", "by_head", "by_peer", "flow", "number", "permissions", "relayed",
        "relayed_bytes", "response", "transaction", "user",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        *,
        flow: Flow,
        account: Account,
        user: User,
        transaction: bytes,
        now: float,
    ) -> None:
        self.number = number
        self.flow = flow
        self.account = account
        self.user = user
        self.transaction = transaction
        self.response = b""
        self.born = now
        self.relayed: dict[int, Relayed] = {}
        self.permissions: dict[str, Permission] = {}
        self.by_head: dict[bytes, Channel] = {}
        self.by_peer: dict[Address, Channel] = {}
        self.relayed_bytes = 0

    def relay_to(self, peer: Address) -> Relayed | None:
        """The relay socket of the peer's family."""
        return self.relayed.get(family_of(peer))

    def permit(self, host: str, *, own: bool, now: float) -> None:
        self.permissions[host] = Permission(own=own, until=now + PERMISSION_S)

    def bind(self, channel: Channel, now: float) -> None:
        channel.until = now + CHANNEL_S
        self.by_head[channel.head] = channel
        self.by_peer[channel.wire] = channel

    def forget_expired(self, now: float) -> None:
        """Called before something is added, so that what is over does not count."""
        for host in [host for host, one in self.permissions.items() if now >= one.until]:
            del self.permissions[host]
        for channel in [one for one in self.by_head.values() if now >= one.until]:
            del self.by_head[channel.head], self.by_peer[channel.wire]
