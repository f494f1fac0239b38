"""The rooms whose events this node's sockets hear: subscribed, ordered, made good from the log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from itertools import islice

import msgspec

from server.chat.announce import encode_own
from server.chat.relay.frames import Stored, ToRoom, read_room_frame, stored
from server.chat.relay.stream import RoomStream
from server.chat.relay.teller import Teller
from server.chat.state import RoomState
from server.chat.views import shown_event
from server.kernel.clock import Clock
from server.kernel.errors import AppError, Unavailable
from server.kernel.ids import RoomId, Seq, UserId
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from storage.api import Event, Fanout, RoomLog

AT_ONCE = 500
"""Rooms asked for in one query."""
PAGE = 100
GAP_S = 0.1
"""Frames of two nodes may pass each other; after this long what is missing is read from the log."""
RETRY_S = 1.0

SLOW = ("member", "room")
"""Events whose telling needs the room's state."""

log = get_logger(__name__)


class Followed:
    """A room that users here hear. `waiting`: in order, behind one whose telling takes time."""

    __slots__ = ("again", "gap_at", "reading", "ready", "stream", "telling", "users", "waiting")

    def __init__(self) -> None:
        self.stream: RoomStream[Stored] = RoomStream()
        self.users: set[UserId] = set()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: deque[Stored] = deque()
        self.telling = False
        self.reading: asyncio.Task[None] | None = None
        self.again = False
        self.gap_at: float | None = None


class Rooms:
    """See the module. All methods that are no coroutines return at once."""

    def __init__(
        self,
        port: Fanout,
        room_log: RoomLog,
        teller: Teller,
        *,
        local: Outlet,
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        self.followed: dict[RoomId, Followed] = {}
        self.caught_up = 0
        """How often events had to be read from the log."""
        self._port = port
        self._log = room_log
        self._teller = teller
        self._local = local
        self._clock = clock
        self._tasks = tasks

    # ---- following -------------------------------------------------------------------------------

    async def follow(self, room_ids: Collection[RoomId], user_id: UserId) -> None:
        """On return what is appended from now on reaches this node. Raises Unavailable."""
        new = []
        for room_id in room_ids:
            found = self.followed.get(room_id)
            if found is None:
                found = self.followed[room_id] = Followed()
                new.append(room_id)
            found.users.add(user_id)
        others = [self.followed[r].ready for r in room_ids if not self.followed[r].ready.done()]
        if new:
            await self._begin(new)
        for ready in others:
            if not ready.done():
                await asyncio.shield(ready)

    async def _begin(self, room_ids: Sequence[RoomId]) -> None:
        try:
            await self._port.subscribe(room_ids)
            for chunk in chunks(room_ids):
                heads = await self._log.heads(chunk)
                for room_id in chunk:
                    head = heads.get(room_id)
                    self.begin(room_id, Seq(0) if head is None else head.head)
        except BaseException:
            for room_id in room_ids:
                found = self.followed.get(room_id)
                if found is not None and not found.ready.done():
                    del self.followed[room_id]
                    found.ready.set_exception(Unavailable("Please try again.", retry_after_s=1.0))
                    found.ready.exception()
            raise

    async def follow_from(self, room_id: RoomId, user_id: UserId, after: Seq) -> bool:
        """Follow a room that is new here and hear its log from `after` on. False: it was followed
        already, and the user's own member event comes by that.
        """
        if room_id in self.followed:
            self.followed[room_id].users.add(user_id)
            return False
        found = self.followed[room_id] = Followed()
        found.users.add(user_id)
        try:
            await self._port.subscribe([room_id])
            if after == 0:
                await self._tell_new(room_id)
            else:
                self.begin(room_id, after)
                self.catch_up(room_id)
        except BaseException as fault:
            if not found.ready.done():
                self.followed.pop(room_id, None)
                found.ready.set_exception(Unavailable("Please try again.", retry_after_s=1.0))
                found.ready.exception()
            if not isinstance(fault, AppError):
                raise
            log.warning("room.not_followed", room_id=room_id, error=fault.code)
        return True

    async def _tell_new(self, room_id: RoomId) -> None:
        """A room that was made on another node: its first members hear all of its log."""
        state = await self._teller.state(room_id)
        events: list[Event] = []
        more = True
        while more:
            after = Seq(events[-1].seq if events else 0)
            rows, more = await self._log.read(room_id, after=after, limit=PAGE)
            events.extend(rows)
        self._teller.created(state, events)
        self.begin(room_id, Seq(events[-1].seq if events else 0))
        self.catch_up(room_id)

    def begin(self, room_id: RoomId, told: Seq) -> None:
        """Events up to `told` are not for the sockets here."""
        found = self.followed.get(room_id)
        if found is None:
            return
        self._tell(room_id, found, found.stream.begin(told))
        self._note_gap(found)
        if not found.ready.done():
            found.ready.set_result(None)

    async def unfollow_empty(self) -> None:
        """Let go of rooms that nobody here hears any more."""
        empty = [r for r, f in self.followed.items() if not f.users and f.ready.done()]
        for room_id in empty:
            del self.followed[room_id]
        for chunk in chunks(empty):
            await self._port.unsubscribe(chunk)
        back = [room_id for room_id in empty if room_id in self.followed]
        if back:  # followed again while we waited
            await self._port.subscribe(back)
            for room_id in back:
                self.catch_up(room_id)

    # ---- what comes ------------------------------------------------------------------------------

    def heard(self, channel: str, data: bytes) -> None:
        """A frame of another node."""
        room_id = RoomId(channel)
        found = self.followed.get(room_id)
        if found is None:
            return
        try:
            frame = read_room_frame(data)
        except msgspec.DecodeError:
            log.warning("frame.unknown", room_id=room_id)
            found.stream.behind = True
            self._note_gap(found)
            return
        if isinstance(frame, ToRoom):
            without = None if frame.without is None else UserId(frame.without)
            payload = msgspec.Raw(frame.payload)
            self._local.to_room(
                room_id, frame.name, payload, without=without, ephemeral=frame.ephemeral
            )
        elif isinstance(frame, Stored):
            self.offer(room_id, frame)
        elif found.stream.told is not None and found.stream.told < frame.seq:
            self.catch_up(room_id)

    def offer(self, room_id: RoomId, item: Stored, state: RoomState | None = None) -> None:
        """An event of the log; `state`: the room as of it, where the caller has it."""
        found = self.followed.get(room_id)
        if found is None:
            return
        ready = found.stream.offer(item.seq, item)
        if ready:
            self._tell(room_id, found, ready, state)
        self._note_gap(found)

    def _note_gap(self, found: Followed) -> None:
        if not found.stream.gap:
            found.gap_at = None
        elif found.gap_at is None:
            found.gap_at = self._clock.monotonic()

    def tick(self) -> None:
        """Read from the log what has been missing too long."""
        late = self._clock.monotonic() - GAP_S
        for room_id, found in self.followed.items():
            if found.gap_at is not None and found.gap_at <= late:
                found.gap_at = self._clock.monotonic() + RETRY_S
                self.catch_up(room_id)

    # ---- from the log ----------------------------------------------------------------------------

    async def compare(self, only: Collection[RoomId] | None = None) -> None:
        """Look at the heads of the rooms (of `only`, if given) and read what was not heard. Raises
        Unavailable.
        """
        rooms = self.followed if only is None else self.followed.keys() & set(only)
        known = [r for r in rooms if self.followed[r].stream.told is not None]
        for chunk in chunks(known):
            for room_id, head in (await self._log.heads(chunk)).items():
                found = self.followed.get(room_id)
                told = None if found is None else found.stream.told
                if told is not None and head.head > told:
                    self.catch_up(room_id)

    def catch_up(self, room_id: RoomId) -> asyncio.Task[None] | None:
        """Tell what the log has after the last event told."""
        found = self.followed.get(room_id)
        if found is None or found.stream.told is None:
            return None
        if found.reading is not None:
            found.again = True
        else:
            self.caught_up += 1
            found.reading = self._tasks.start(self._read(room_id, found), "catch_up")
        return found.reading

    async def _read(self, room_id: RoomId, found: Followed) -> None:
        try:
            more = True
            while more or found.again:
                found.again = False
                found.stream.behind = False
                after = found.stream.told or Seq(0)
                rows, more = await self._log.read(room_id, after=after, limit=PAGE)
                for row in rows:
                    shown = shown_event(row, row.sender_id, self._clock.now_ms())
                    item = stored(row, encode_own(shown))
                    self.offer(room_id, item)
        except AppError as fault:
            log.warning("room.not_caught_up", room_id=room_id, error=fault.code)
            found.gap_at = self._clock.monotonic() + RETRY_S
            found.stream.behind = True
        finally:
            found.reading = None

    # ---- telling ---------------------------------------------------------------------------------

    def _tell(
        self,
        room_id: RoomId,
        found: Followed,
        items: Sequence[Stored],
        state: RoomState | None = None,
    ) -> None:
        for item in items:
            if found.telling:
                found.waiting.append(item)
            elif item.kind not in SLOW:
                self._teller.plain(room_id, item)
            elif state is not None:
                self._teller.event(state, item)
            else:
                found.waiting.append(item)
                found.telling = True
                self._tasks.start(self._tell_waiting(room_id, found), "room_telling")

    async def _tell_waiting(self, room_id: RoomId, found: Followed) -> None:
        try:
            while found.waiting:
                item = found.waiting[0]
                if item.kind in SLOW:
                    try:
                        state = await self._teller.state(room_id)
                    except Unavailable:
                        await asyncio.sleep(RETRY_S)
                        continue
                    self._teller.event(state, item)
                else:
                    self._teller.plain(room_id, item)
                found.waiting.popleft()
        finally:
            found.telling = False


def chunks(room_ids: Collection[RoomId]) -> Sequence[Sequence[RoomId]]:
    left = iter(room_ids)
    found = []
    while chunk := list(islice(left, AT_ONCE)):
        found.append(chunk)
    return found
