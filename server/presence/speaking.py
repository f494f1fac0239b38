"""What this node tells the others of its users: kept in the shared store, then called out."""

from __future__ import annotations

from typing import Literal

import msgspec

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from server.presence.signals import Level, Say
from storage.api import Fanout, NodePresence, SharedPresence

AT_ONCE = 1000
"""Users in one write."""

MAX_UNSAID = 100_000
"""Past it the oldest is forgotten: a store away for that long forgets this node, and then all is
said anew.
"""

RETRY_S = 1.0
DOUBT_S = 10.0
"""What was called out this shortly before the connection broke may not have been heard."""

log = get_logger(__name__)


class Word(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """On a user's channel: what a node has of his devices. `at_ms` only grows."""

    node_id: str
    at_ms: int
    level: Literal["online", "away"] | None
    last_seen_at: int | None = None


class Settings(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """On a user's channel: his stored row is another one now."""

    node_id: str


encode = msgspec.msgpack.Encoder().encode


class Speaker:
    """One writer for all that is to be said: what changes while it writes is in its next turn."""

    def __init__(
        self,
        presence: SharedPresence,
        fanout: Fanout,
        node_id: NodeId,
        *,
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        self._presence = presence
        self._fanout = fanout
        self._node_id = node_id
        self._clock = clock
        self._tasks = tasks
        self._unsaid: dict[UserId, Say] = {}
        self._unset: set[UserId] = set()
        self._lately: dict[UserId, tuple[float, Say | None]] = {}
        self._at_ms = 0
        self._running = False
        self._retry_at = float("-inf")

    def __len__(self) -> int:
        """Users of whom something is still to be said."""
        return len(self._unsaid) + len(self._unset)

    def say(self, say: Say) -> None:
        self._unsaid[say.user_id] = say
        if len(self._unsaid) > MAX_UNSAID:
            del self._unsaid[next(iter(self._unsaid))]
        self._start()

    def settings_changed(self, user_id: UserId) -> None:
        self._unset.add(user_id)
        self._start()

    def repeat(self) -> None:
        """Say again what may not have been heard."""
        for user_id, (_, say) in self._lately.items():
            if say is not None:
                self._unsaid.setdefault(user_id, say)
            self._unset.add(user_id)
        self._start()

    def tick(self) -> None:
        now = self._clock.monotonic()
        while self._lately:
            user_id = next(iter(self._lately))
            if now - self._lately[user_id][0] < DOUBT_S:
                break
            del self._lately[user_id]
        if now >= self._retry_at:
            self._start()

    async def finish(self) -> None:
        """What can be said still, is."""
        while (self._unsaid or self._unset) and await self._step():
            pass

    # ---- inside ----------------------------------------------------------------------------------

    def _start(self) -> None:
        waits = self._clock.monotonic() < self._retry_at
        if not self._running and not waits and (self._unsaid or self._unset):
            self._running = True
            self._tasks.start(self._run(), "presence_say")

    async def _run(self) -> None:
        try:
            while (self._unsaid or self._unset) and await self._step():
                pass
        finally:
            self._running = False

    async def _step(self) -> bool:
        """First into the store, then called out: whoever reads the store after he began to listen
        misses nothing. False: not now.
        """
        users = [self._unsaid.pop(user_id) for user_id in list(self._unsaid)[:AT_ONCE]]
        words = {say.user_id: (say, self._stamp()) for say in users}
        try:
            if not self._fanout.connected:
                raise Unavailable("Nobody would hear it.")
            if words:
                await self._presence.put(
                    self._node_id, {i: _kept(say.level, at) for i, (say, at) in words.items()}
                )
        except Unavailable:
            for say in users:
                self._unsaid.setdefault(say.user_id, say)
            self._retry_at = self._clock.monotonic() + RETRY_S
            return False
        for say, at_ms in words.values():
            word = Word(self._node_id, at_ms, say.level, say.last_seen_at)
            self._call_out(say.user_id, word, say)
        changed, self._unset = self._unset, set()
        for user_id in changed:
            self._call_out(user_id, Settings(self._node_id))
        return True

    def _call_out(self, user_id: UserId, word: Word | Settings, say: Say | None = None) -> None:
        self._fanout.publish(user_id, encode(word))
        before = self._lately.pop(user_id, None)
        kept = say or (None if before is None else before[1])
        self._lately[user_id] = (self._clock.monotonic(), kept)

    def _stamp(self) -> int:
        self._at_ms = max(self._clock.now_ms(), self._at_ms + 1)
        return self._at_ms


def _kept(level: Level | None, at_ms: int) -> NodePresence | None:
    return None if level is None else NodePresence(level, at_ms)
