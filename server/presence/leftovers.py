"""What dead nodes leave: entries that count no more, users of whom nobody kept when they went."""

from __future__ import annotations

from collections.abc import Callable, Collection

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from server.presence.signals import Died, Input, Set
from storage.api import Accounts, PresenceRow, SharedPresence

AT_ONCE = 500
RETRY_S = 1.0

log = get_logger(__name__)


class Leftovers:
    """Tells the core who died. The first of the nodes alive clears away, whoever finds something
    of a node long dead does too.

    Args:
        dead_after_s: a node that is named but not alive for this long is dead.
        settings_changed: told of each user whose row was written.
    """

    def __init__(
        self,
        node_id: NodeId,
        presence: SharedPresence,
        accounts: Accounts,
        *,
        feed: Callable[[Input], None],
        settings_changed: Callable[[UserId], None],
        clock: Clock,
        tasks: TaskOwner,
        dead_after_s: float,
    ) -> None:
        self._node_id = node_id
        self._presence = presence
        self._accounts = accounts
        self._feed = feed
        self._settings_changed = settings_changed
        self._clock = clock
        self._tasks = tasks
        self._dead_after_s = dead_after_s
        self._alive: frozenset[NodeId] = frozenset((node_id,))
        self._strangers: dict[NodeId, float] = {}
        self._dead: dict[NodeId, int] = {}
        self._left: dict[UserId, int] = {}
        self._running = False
        self._retry_at = float("-inf")

    def nodes_changed(self, alive: Collection[NodeId]) -> None:
        before, self._alive = self._alive, frozenset(alive) | {self._node_id}
        for node_id in self._alive:
            self._strangers.pop(node_id, None)
            self._dead.pop(node_id, None)
        died = before - self._alive
        if died:
            self._died(died, clear=self._node_id == min(self._alive))

    def heard_of(self, node_id: NodeId) -> bool:
        """A node was named. True: it is alive."""
        if node_id in self._alive:
            return node_id != self._node_id
        self._strangers.setdefault(node_id, self._clock.monotonic())
        return False

    def tick(self) -> None:
        now = self._clock.monotonic()
        dead = [i for i, at in self._strangers.items() if now - at >= self._dead_after_s]
        for node_id in dead:
            del self._strangers[node_id]
        if dead:
            self._died(frozenset(dead), clear=True)
        if (self._dead or self._left) and not self._running and now >= self._retry_at:
            self._running = True
            self._tasks.start(self._run(), "presence_leftovers")

    def _died(self, node_ids: frozenset[NodeId], *, clear: bool) -> None:
        self._feed(Died(node_ids))
        if clear:
            at_ms = self._clock.now_ms() - round(self._dead_after_s * 1000)
            self._dead.update(dict.fromkeys(node_ids, at_ms))

    # ---- clearing away ---------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            for node_id, at_ms in tuple(self._dead.items()):
                users = await self._presence.forget(node_id)
                self._left.update(dict.fromkeys(users, at_ms))
                self._dead.pop(node_id, None)
                log.info("node.cleared", node_id=node_id, users=len(users))
            while self._left:
                await self._see_off(list(self._left)[:AT_ONCE])
        except Unavailable:
            self._retry_at = self._clock.monotonic() + RETRY_S
        finally:
            self._running = False

    async def _see_off(self, users: list[UserId]) -> None:
        """Keep when they were seen last, of those who are not at another node."""
        said = await self._presence.of(users)
        gone = [i for i in users if not said.get(i, {}).keys() & self._alive]
        rows = await self._accounts.presence(gone) if gone else {}
        for user_id in gone:
            row = rows.get(user_id) or PresenceRow(user_id)
            at_ms = self._left[user_id]
            if row.status != "invisible" and (row.last_seen_at or 0) < at_ms:
                row = PresenceRow(user_id, row.status, row.text, at_ms)
                await self._accounts.put_presence(row)
                self._feed(Set(user_id, row))
                self._settings_changed(user_id)
        for user_id in users:
            self._left.pop(user_id, None)
