"""What other nodes say of users whom this node has devices or watchers of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

import msgspec

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from server.presence.signals import Heard, Input, Read, Set, Watched
from server.presence.speaking import Settings, Word
from server.presence.state import Presence
from storage.api import Accounts, Fanout, NodePresence, PresenceRow, SharedPresence

AT_ONCE = 500
RETRY_S = 1.0
RESYNC_S = 60.0
"""All is read anew this often: what was lost on the way without anybody noticing."""

log = get_logger(__name__)


class Listener:
    """Keeps the core's picture of other nodes right.

    First it subscribes to a user's channel, then it reads what is kept of him: nothing is missed.
    One task does everything that waits, in batches; what fails is done again RETRY_S later.

    Args:
        watched: whether somebody here watches the user.
        heard_of: told of each node that is named; False: what is kept of it does not count.
        restored: what was said for a while was not heard.
    """

    def __init__(
        self,
        core: Presence,
        feed: Callable[[Input], None],
        *,
        presence: SharedPresence,
        fanout: Fanout,
        accounts: Accounts,
        watched: Callable[[UserId], bool],
        heard_of: Callable[[NodeId], bool],
        restored: Callable[[], None],
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        self._core = core
        self._feed = feed
        self._presence = presence
        self._fanout = fanout
        self._accounts = accounts
        self._watched = watched
        self._heard_of = heard_of
        self._clock = clock
        self._tasks = tasks
        self._decode = msgspec.msgpack.Decoder(Word | Settings).decode
        self._channels: set[UserId] = set()
        self._early: dict[UserId, list[Heard]] = {}
        self._learn: dict[UserId, None] = {}
        self._rows: dict[UserId, None] = {}
        self._drop: set[UserId] = set()
        self._waiting: list[tuple[set[UserId], asyncio.Future[None]]] = []
        self._running = False
        self._retry_at = float("-inf")
        self._resync_at = clock.monotonic() + RESYNC_S
        self._held_until = float("-inf")
        fanout.listen(self._hear, restored)

    # ---- whom to listen for ----------------------------------------------------------------------

    def want(self, user_ids: Iterable[UserId]) -> None:
        """Listen for these and read what is kept of them, soon."""
        self._learn.update(dict.fromkeys(user_ids))
        self._start()

    async def learn(self, user_ids: Collection[UserId]) -> None:
        """Like `want`; on return the core knows of these, or a store was not reached."""
        users = {i for i in user_ids if not self._knows(i)}
        if not users:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((users, done))
        self.want(users)
        if not self._running:  # it cannot be reached: the retry stands
            self._answer(users)
        await done

    def drop(self, user_id: UserId) -> None:
        """He left the core: hear of him no more."""
        self._drop.add(user_id)

    def settings_changed(self, user_id: UserId) -> None:
        """His row was written here: one being read now may be older."""
        if self._running:
            self._rows[user_id] = None

    # ---- when to look again ----------------------------------------------------------------------

    def again(self) -> None:
        """Read everything anew now: a node came, whose words were left out so far, or one went
        and may have died before its last words.
        """
        self._learn.update(dict.fromkeys(self._channels))
        self._rows.update(dict.fromkeys(self._channels))
        self._start()

    def hold(self, for_s: float) -> None:
        """What is kept may be lost and put again until then: only then is it all there is."""
        self._resync_at = self._held_until = self._clock.monotonic() + for_s

    def tick(self) -> None:
        now = self._clock.monotonic()
        if now >= self._resync_at:
            self._resync_at = now + RESYNC_S
            self.again()
        if now >= self._retry_at:
            self._start()

    # ---- what comes ------------------------------------------------------------------------------

    def _hear(self, channel: str, data: bytes) -> None:
        try:
            word = self._decode(data)
        except msgspec.DecodeError:
            log.warning("presence.not_understood", bytes=len(data))
            return
        user_id = UserId(channel)
        if isinstance(word, Settings):
            self._rows[user_id] = None
            self._start()
            return
        node_id = NodeId(word.node_id)
        self._heard_of(node_id)
        heard = Heard(user_id, node_id, word.at_ms, word.level, word.last_seen_at)
        if user_id in self._early:
            self._early[user_id].append(heard)
        self._feed(heard)

    # ---- what is waited for ----------------------------------------------------------------------

    def _start(self) -> None:
        work = self._learn or self._rows or self._drop
        if work and not self._running and self._clock.monotonic() >= self._retry_at:
            self._running = True
            self._tasks.start(self._run(), "presence_hear")

    async def _run(self) -> None:
        try:
            while self._learn or self._rows or self._drop:
                await self._step_rows(_some(self._rows))  # first: when he went, then that he went
                await self._step_learn(_some(self._learn))
                await self._step_drop()
        except Unavailable:
            self._retry_at = self._clock.monotonic() + RETRY_S
            log.warning("presence.not_heard")
        finally:
            self._running = False
            for users, _ in tuple(self._waiting):
                self._answer(users)

    async def _step_learn(self, asked: list[UserId]) -> None:
        users = [i for i in asked if i in self._core or self._watched(i)]
        self._early = {i: [] for i in users}
        try:
            if users:
                await self._read(users)
        except Unavailable:
            self._learn.update(dict.fromkeys(users))
            raise
        finally:
            self._early = {}
        self._drop.update(i for i in users if i not in self._core)
        self._answer(set(asked))

    async def _read(self, users: list[UserId]) -> None:
        await self._fanout.subscribe([i for i in users if i not in self._channels])
        self._channels.update(users)
        began = self._clock.monotonic()
        said = await self._presence.of(users)
        new = [i for i in users if i not in self._core]
        rows = await self._accounts.presence(new) if new else {}
        whole = began >= self._held_until
        for user_id in users:
            read = Read(user_id, self._of_the_living(said.get(user_id, {})), began, whole)
            if self._watched(user_id):
                row = self._core.row(user_id) or rows.get(user_id) or PresenceRow(user_id)
                self._feed(Watched(user_id, row, read))
            else:
                self._feed(read)
            for heard in self._early[user_id]:
                self._feed(heard)

    async def _step_rows(self, users: list[UserId]) -> None:
        users = [i for i in users if i in self._core]
        if not users:
            return
        try:
            rows = await self._accounts.presence(users)
        except Unavailable:
            self._rows.update(dict.fromkeys(users))
            raise
        for user_id in users:
            known, row = self._core.row(user_id), rows.get(user_id)
            if known is None or row is None or user_id in self._rows:
                continue  # gone meanwhile, or changed meanwhile and read again
            seen = row.last_seen_at
            if row.status != "invisible":
                seen = max(seen or 0, known.last_seen_at or 0) or None
            self._feed(Set(user_id, PresenceRow(user_id, row.status, row.text, seen)))

    async def _step_drop(self) -> None:
        gone = {i for i in self._drop if i not in self._core and i not in self._learn}
        gone &= self._channels
        if gone:
            await self._fanout.unsubscribe(gone)
        self._channels -= gone
        self._drop.clear()

    def _knows(self, user_id: UserId) -> bool:
        pending = user_id in self._learn or user_id in self._early
        return user_id in self._channels and user_id in self._core and not pending

    def _of_the_living(self, said: dict[NodeId, NodePresence]) -> dict[NodeId, NodePresence]:
        return {node_id: word for node_id, word in said.items() if self._heard_of(node_id)}

    def _answer(self, users: set[UserId]) -> None:
        for entry in tuple(self._waiting):
            wanted, done = entry
            wanted -= users
            if not wanted:
                self._waiting.remove(entry)
                if not done.done():
                    done.set_result(None)


def _some(queue: dict[UserId, None]) -> list[UserId]:
    users = list(queue)[:AT_ONCE]
    for user_id in users:
        del queue[user_id]
    return users
