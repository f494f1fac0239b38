"""What nodes share, for several of them in one process: `MemoryCluster` stands where Redis would.

It lives by its clock alone, and can be told to fail: cut a node off, lose messages, forget all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId, UserId
from storage.api import Check, Node, NodePresence, Spend
from storage.memory.fanout import Air, Drop, MemoryFanout

ROUNDING_S = 1e-6
"""So that whoever waited as long as he was told is not refused for a float's last bits."""


@dataclass
class _Kept:
    """All that FLUSHALL loses. `full_at`: when each bucket is full again."""

    nodes: dict[NodeId, tuple[Node, float]] = field(default_factory=dict)
    presence: dict[UserId, dict[NodeId, NodePresence]] = field(default_factory=dict)
    full_at: dict[str, float] = field(default_factory=dict)


class MemoryCluster:
    """What `MemoryShared` of all nodes are opened on.

    Args:
        seed: messages of different publishers come late and pass one another, the same way each
            time. None: each loop turn brings what the one before it published.
    """

    def __init__(self, clock: Clock, *, seed: int | None = None) -> None:
        self.clock = clock
        self.kept = _Kept()
        self.air = Air(seed)
        self._away: set[NodeId] = set()

    def open(self, node_id: NodeId) -> MemoryShared:
        """As a node does when it starts; one that was cut off is so still."""
        return MemoryShared(node_id, self)

    def cut(self, *node_ids: NodeId) -> None:
        """These nodes (none given: all) reach nothing here until `heal`."""
        for node_id in node_ids or tuple(self.air.nodes):
            self._away.add(node_id)
            if node_id in self.air.nodes:
                self.air.nodes[node_id].cut()

    def heal(self, *node_ids: NodeId) -> None:
        for node_id in node_ids or tuple(self._away):
            self._away.discard(node_id)
            if node_id in self.air.nodes:
                self.air.nodes[node_id].heal()

    def drop_next(self, count: int, matching: Drop | None = None) -> None:
        """Lose the next messages, of all or of those that match."""
        left = count

        def drop(publisher: NodeId, channel: str, data: bytes) -> bool:
            nonlocal left
            if left == 0 or (matching is not None and not matching(publisher, channel, data)):
                return False
            left -= 1
            return True

        self.air.drop = drop

    def drop_matching(self, matching: Drop | None) -> None:
        """Lose these until told otherwise; None: no longer."""
        self.air.drop = matching

    def flush_all(self) -> None:
        """Subscriptions stay, as with Redis."""
        self.kept.nodes.clear()
        self.kept.presence.clear()
        self.kept.full_at.clear()

    def check(self, node_id: NodeId) -> None:
        if node_id in self._away:
            raise Unavailable("redis does not answer. Try again later.", retry_after_s=1.0)

    def is_away(self, node_id: NodeId) -> bool:
        return node_id in self._away


class MemoryShared:
    """Implements `storage.api.Shared`."""

    def __init__(self, node_id: NodeId, cluster: MemoryCluster) -> None:
        self._reach = _Reach(node_id, cluster)
        self.nodes = MemoryNodes(self._reach)
        self.presence = MemoryPresence(self._reach)
        self.limits = MemoryLimits(self._reach)
        self.fanout = MemoryFanout(node_id, cluster.air)
        self.checks: Mapping[str, Check] = {"redis": self.check}
        if cluster.is_away(node_id):
            self.fanout.cut()

    async def check(self) -> None:
        self._reach.check()

    async def close(self) -> None:
        self._reach.closed = True
        self.fanout.close()


class _Reach:
    """A node's way to the cluster."""

    def __init__(self, node_id: NodeId, cluster: MemoryCluster) -> None:
        self.closed = False
        self._node_id = node_id
        self._cluster = cluster

    @property
    def now(self) -> float:
        return self._cluster.clock.monotonic()

    def check(self) -> None:
        if self.closed:
            raise Unavailable("What nodes share is closed.")
        self._cluster.check(self._node_id)

    def kept(self) -> _Kept:
        self.check()
        return self._cluster.kept


class MemoryNodes:
    """Implements `storage.api.Nodes`."""

    def __init__(self, reach: _Reach) -> None:
        self._reach = reach

    async def beat(self, node: Node, ttl_s: float) -> bool:
        nodes, now = self._reach.kept().nodes, self._reach.now
        known = node.id in nodes and nodes[node.id][1] > now
        nodes[node.id] = (node, now + ttl_s)
        return known

    async def leave(self, node_id: NodeId) -> None:
        self._reach.kept().nodes.pop(node_id, None)

    async def alive(self) -> list[Node]:
        nodes, now = self._reach.kept().nodes, self._reach.now
        return [node for _, (node, until) in sorted(nodes.items()) if until > now]


class MemoryPresence:
    """Implements `storage.api.SharedPresence`."""

    def __init__(self, reach: _Reach) -> None:
        self._reach = reach

    async def put(self, node_id: NodeId, users: Mapping[UserId, NodePresence | None]) -> None:
        presence = self._reach.kept().presence
        for user_id, said in users.items():
            if said is None:
                _remove(presence, user_id, node_id)
            else:
                presence.setdefault(user_id, {})[node_id] = said

    async def of(self, user_ids: Collection[UserId]) -> dict[UserId, dict[NodeId, NodePresence]]:
        presence = self._reach.kept().presence
        return {i: dict(presence[i]) for i in user_ids if i in presence}

    async def forget(self, node_id: NodeId) -> list[UserId]:
        presence = self._reach.kept().presence
        users = sorted(user_id for user_id, said in presence.items() if node_id in said)
        for user_id in users:
            _remove(presence, user_id, node_id)
        return users


class MemoryLimits:
    """Implements `storage.api.SharedLimits`."""

    def __init__(self, reach: _Reach) -> None:
        self._reach = reach

    async def take(self, spend: Spend) -> float:
        full_at, now = self._reach.kept().full_at, self._reach.now
        after = max(full_at.get(spend.key, now), now) + spend.n / spend.per_s
        wait = after - now - spend.burst / spend.per_s
        if wait > ROUNDING_S:
            return wait
        full_at[spend.key] = after
        return 0.0

    async def debit(self, spends: Sequence[Spend]) -> list[float]:
        full_at, now = self._reach.kept().full_at, self._reach.now
        waits: list[float] = []
        for spend in spends:
            after = max(full_at.get(spend.key, now), now) + spend.n / spend.per_s
            full_at[spend.key] = after
            wait = after - now - (spend.burst - 1) / spend.per_s
            waits.append(wait if wait > ROUNDING_S else 0.0)
        return waits


def _remove(
    presence: dict[UserId, dict[NodeId, NodePresence]], user_id: UserId, node_id: NodeId
) -> None:
    said = presence.get(user_id, {})
    said.pop(node_id, None)
    if not said:
        presence.pop(user_id, None)
