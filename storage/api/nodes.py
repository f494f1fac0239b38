"""What the nodes of a cluster share while they live. All of it can be made again: losing it (a
FLUSHALL, a restart) costs seconds of presence, never a message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from server.kernel.ids import NodeId, UserId
from storage.api.store import Check


class Node(msgspec.Struct, frozen=True):
    """A process of the cluster. `features`: what its `GET /api/v1/server` would announce alone;
    `ice_urls`: where clients find its STUN and TURN.
    """

    id: NodeId
    started_at: int
    version: str
    features: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    ice_urls: tuple[str, ...] = ()


class Nodes(Protocol):
    """Who is alive."""

    async def beat(self, node: Node, ttl_s: float) -> bool:
        """Be alive for another `ttl_s`. False: we were not known (the first beat, a beat too late,
        or a store that forgot everything): what else it keeps for this node is to be put again.
        """
        ...

    async def leave(self, node_id: NodeId) -> None: ...

    async def alive(self) -> list[Node]:
        """Ordered by id."""
        ...


Heard = Callable[[str, bytes], None]
"""(channel, data). Called in the event loop, must not raise or wait."""


class Fanout(Protocol):
    """Bytes to other nodes, at most once, in the order of each publisher's calls over all channels.

    A node never hears its own. What is published while a listener is cut off is lost to it, and
    `restored` tells it so, once everything it subscribed to is heard again. What a node published
    itself in the seconds before and while it was cut off may be lost to all.
    """

    def listen(self, heard: Heard, restored: Callable[[], None]) -> None:
        """Once, before the first `subscribe`."""
        ...

    def publish(self, channel: str, data: bytes) -> None:
        """A plain call that never waits nor raises: it leaves with what else this loop turn brings.
        Dropped and counted while cut off or past a bound of queued bytes.
        """
        ...

    async def subscribe(self, channels: Collection[str]) -> None:
        """On return, messages published from now on are heard. While cut off: returns at once, and
        they are heard from `restored` on.
        """
        ...

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """On return nothing is heard of them."""
        ...

    @property
    def connected(self) -> bool: ...

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the start: published, dropped, heard, reconnects."""
        ...


class NodePresence(msgspec.Struct, frozen=True):
    """A user's devices at one node, summed up."""

    status: Literal["online", "away"]
    at: int = 0
    """ms since the Unix epoch: when it began."""


class SharedPresence(Protocol):
    """Who is at which node. Entries of nodes that are not alive are left out by the reader."""

    async def put(self, node_id: NodeId, users: Mapping[UserId, NodePresence | None]) -> None:
        """Replace (None: remove) what this node says of these users."""
        ...

    async def of(self, user_ids: Collection[UserId]) -> dict[UserId, dict[NodeId, NodePresence]]:
        """Without those of whom no node says anything."""
        ...

    async def forget(self, node_id: NodeId) -> list[UserId]:
        """Remove all that a dead node said; returns of whom."""
        ...


@dataclass(frozen=True, slots=True)
class Spend:
    """`n` tokens out of the bucket `key`, which refills at `per_s` (> 0) up to `burst`
    tokens.
    """

    key: str
    per_s: float
    burst: float
    n: float = 1.0


class SharedLimits(Protocol):
    """Token buckets of the whole cluster (generic cell rate algorithm, by the server's clock)."""

    async def take(self, spend: Spend) -> float:
        """Take them if they are there: 0. Else take nothing: seconds until they would be."""
        ...

    async def debit(self, spends: Sequence[Spend]) -> list[float]:
        """Note what was spent already, into debt if need be. Seconds until each bucket holds one
        token (0: it does).
        """
        ...


class Shared(Protocol):
    """What nodes share, opened and closed as one."""

    @property
    def nodes(self) -> Nodes: ...

    @property
    def fanout(self) -> Fanout: ...

    @property
    def presence(self) -> SharedPresence: ...

    @property
    def limits(self) -> SharedLimits: ...

    @property
    def checks(self) -> Mapping[str, Check]: ...

    async def close(self) -> None: ...
