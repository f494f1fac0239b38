"""Who else is there: this process beats, and sees who beats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from server.kernel.clock import Clock
from server.kernel.config import Cluster
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Node, Nodes

FIRST_BEATS = 2
"""Beats within which everybody is heard again once the store had forgotten all nodes."""

RETRY_S = 0.5
"""After a beat that failed: a store that comes back must know us well within `dead_after_s`."""

log = get_logger(__name__)


class NodeWatch:
    """Beats every `beat_s`. Nodes that were not heard of for `dead_after_s` are dead.

    A node that cannot reach the store keeps its last view: nobody dies because of its own cut.
    When the store has forgotten everybody, those known are believed for FIRST_BEATS more beats.
    Callbacks are plain calls in the event loop; `alive` is as they are told already.
    """

    def __init__(
        self, node: Node, nodes: Nodes, *, clock: Clock, tasks: TaskOwner, config: Cluster
    ) -> None:
        self.node = node
        self._nodes = nodes
        self._clock = clock
        self._tasks = tasks
        self._config = config
        self._view: dict[NodeId, Node] = {node.id: node}
        self._believed_until = float("-inf")
        self._beaten = False
        self._reached = False
        self._closed = False
        self._wake = asyncio.Event()
        self._changed: list[Callable[[tuple[NodeId, ...]], None]] = []
        self._forgotten: list[Callable[[], None]] = []

    @property
    def alive(self) -> tuple[NodeId, ...]:
        """Ordered; this node is always among them."""
        return tuple(sorted(self._view))

    def first(self, role: str) -> NodeId | None:
        """The lowest id among the nodes of a role: the one that does what only one should."""
        return min(self.of_role(role), default=None)

    def of_role(self, role: str) -> list[NodeId]:
        """The nodes that have it, in no order."""
        return [n.id for n in self._view.values() if role in n.roles or "all" in n.roles]

    @property
    def reached(self) -> bool:
        """Whether the last beat reached the store."""
        return self._reached

    @property
    def features(self) -> tuple[str, ...]:
        """What every node of the cluster offers, in this node's order."""
        others = [set(node.features) for node in self._view.values()]
        return tuple(name for name in self.node.features if all(name in them for them in others))

    def says(self, *, ice_urls: tuple[str, ...]) -> None:
        """The others are to know it from now on."""
        self.node = msgspec.structs.replace(self.node, ice_urls=ice_urls)
        self._view[self.node.id] = self.node
        self.soon()

    def others(self) -> list[Node]:
        return [node for _, node in sorted(self._view.items()) if node.id != self.node.id]

    def on_change(self, callback: Callable[[tuple[NodeId, ...]], None]) -> None:
        """Call this with `alive` whenever somebody came or went."""
        self._changed.append(callback)

    def on_forgotten(self, callback: Callable[[], None]) -> None:
        """Call this when the store does not know us any more: put everything again."""
        self._forgotten.append(callback)

    async def start(self) -> None:
        """Returns after the first beat, whether it reached the store or not."""
        await self.beat()
        self._tasks.start(self._run(), "nodes")

    async def close(self) -> None:
        """Leave: the others need not wait for our death."""
        self._closed = True
        try:
            await self._nodes.leave(self.node.id)
        except Unavailable:
            log.warning("node.not_left", node_id=self.node.id)

    def soon(self) -> None:
        """Beat now: the store was away and is back, say."""
        self._wake.set()

    async def beat(self) -> bool:
        """One beat and one look. False: the store was not reached, the view stays."""
        try:
            known = await self._nodes.beat(self.node, self._config.dead_after_s)
            seen = {node.id: node for node in await self._nodes.alive()}
        except Unavailable:
            if self._reached:
                log.warning("nodes.not_reached", node_id=self.node.id)
            self._reached = False
            return False
        self._reached = True
        if self._closed:
            return True
        lost = not known or self.node.id not in seen
        if lost and self._beaten:
            self._believe()
        self._beaten = True
        self._look(seen)
        return True

    # ---- inside ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            try:
                async with asyncio.timeout(self._config.beat_s if self._reached else RETRY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            if not self._closed:
                await self.beat()

    def _believe(self) -> None:
        log.warning("node.forgotten", node_id=self.node.id)
        self._believed_until = self._clock.monotonic() + FIRST_BEATS * self._config.beat_s
        for callback in self._forgotten:
            callback()

    def _look(self, seen: dict[NodeId, Node]) -> None:
        seen[self.node.id] = self.node
        if self._clock.monotonic() < self._believed_until:
            seen = self._view | seen
        joined, left = seen.keys() - self._view.keys(), self._view.keys() - seen.keys()
        self._view = seen
        if not joined and not left:
            return
        log.info("nodes.changed", joined=sorted(joined), left=sorted(left), alive=len(seen))
        alive = self.alive
        for callback in self._changed:
            callback(alive)
