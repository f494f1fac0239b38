"""What a process knows of rooms: their logs, and where each ends.

The events of a room lie in buckets. The batch that follows head h goes into bucket h // BUCKET,
whole, so the last batch of a bucket may end past it. A bucket whose head has reached its end is
full: it takes nothing more, ever, and only then the next one opens. So buckets are open one after
the other without a gap, and what is known of a full one stays true.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId, RoomId, Seq
from storage.cassandra.rows import BUCKET
from storage.cassandra.session import Session

KNOWN_ROOMS = 20_000
INFO_S = 5.0
"""A room's log_id and first_seq are believed for this long by readers of its pages."""


@dataclass(frozen=True, slots=True)
class Info:
    """`base_n`: n at first_seq - 1."""

    log_id: LogId
    first_seq: Seq
    base_n: int
    hint: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """`start`: the seq of its first event. `opened`: by the clock of who opened it, ms.
    Head and n were so when it was read, and never go back.
    """

    number: int
    head: Seq
    n: int
    start: Seq
    opened: int

    @property
    def full(self) -> bool:
        return self.head >= (self.number + 1) * BUCKET


NOTHING = Bucket(-1, Seq(0), 0, Seq(0), 0)
"""Stands before bucket 0: full, with head 0."""


@dataclass(slots=True)
class Room:
    """`tip`: the last bucket that was seen open; a hint, never more."""

    id: RoomId
    info: Info | None = None
    info_at: float = 0.0
    tip: Bucket = NOTHING
    buckets: OrderedDict[int, Bucket] = field(default_factory=OrderedDict)
    """Those known to be full."""

    def saw(self, bucket: Bucket) -> None:
        if (bucket.number, bucket.head) > (self.tip.number, self.tip.head):
            self.tip = bucket
        if bucket.full:
            self.buckets[bucket.number] = bucket
            while len(self.buckets) > 1024:
                self.buckets.popitem(last=False)


class Rooms:
    """The most recently used rooms."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._rooms: OrderedDict[RoomId, Room] = OrderedDict()

    def room(self, room_id: RoomId) -> Room:
        room = self._rooms.get(room_id)
        if room is None:
            room = self._rooms[room_id] = Room(room_id)
            while len(self._rooms) > KNOWN_ROOMS:
                self._rooms.popitem(last=False)
        else:
            self._rooms.move_to_end(room_id)
        return room

    def forget(self) -> None:
        """What is known may have been changed beneath us."""
        self._rooms.clear()

    async def info(self, room: Room, *, fresh: bool = False) -> Info | None:
        """None: the room has no log. At most INFO_S old unless `fresh`."""
        now = self._clock.monotonic()
        if room.info is not None and not fresh and now - room.info_at < INFO_S:
            return room.info
        rows = await self._session.read("room", room.id)
        if not rows or rows[0][0] is None:
            return None
        log_id, first_seq, base_n, hint = rows[0]
        room.info = Info(LogId(log_id), Seq(first_seq), base_n, hint or 0)
        room.info_at = now
        return room.info

    async def known(self, room: Room) -> Info:
        """Raises LookupError: the room has no log. Logs are never removed."""
        info = room.info or await self.info(room)
        if info is None:
            raise LookupError(f"room {room.id} has no log")
        return info

    async def bucket(self, room: Room, number: int, *, serial: bool = False) -> Bucket | None:
        """As it is now (a full one as it was ever since); None: not open."""
        if number < 0:
            return NOTHING
        full = room.buckets.get(number)
        if full is not None:
            return full
        rows = await self._session.read("head", room.id, number, serial=serial)
        if not rows or rows[0][0] is None:
            return None
        head, n, start, opened = rows[0]
        found = Bucket(number, Seq(head), n or 0, Seq(start or 0), opened or 0)
        room.saw(found)
        return found

    async def tip(self, room: Room, *, serial: bool = False) -> Bucket:
        """The last bucket that is open now; NOTHING when none is. One read where the hint is
        right, about 2 log2 of the distance where it is old.
        """
        number = room.tip.number
        if number < 0:
            number = room.info.hint if room.info is not None else 0
        low = await self._open_at_or_before(room, number, serial=serial)
        if not low.full:
            return low
        step, high = 1, low.number + 1
        while (found := await self.bucket(room, high, serial=serial)) is not None:
            low = found
            if not low.full:
                return low
            step *= 2
            high = low.number + step
        while high - low.number > 1:
            middle = (low.number + high) // 2
            found = await self.bucket(room, middle, serial=serial)
            if found is None:
                high = middle
            else:
                low = found
        return low

    async def _open_at_or_before(self, room: Room, number: int, *, serial: bool) -> Bucket:
        """Hints are written after what they tell of, so going back is for restored data only."""
        while number >= 0:
            found = await self.bucket(room, number, serial=serial)
            if found is not None:
                return found
            number = number - 1 if number < 4 else number // 2
        return NOTHING

    async def note_opened(self, room: Room, number: int) -> None:
        """So that a process that never saw the room begins its search there."""
        try:
            await self._session.write("hint", number, room.id)
        except Unavailable:
            return  # the search only takes longer
