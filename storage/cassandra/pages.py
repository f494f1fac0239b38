"""Reads of events. Seqs have no holes, so a page knows which rows it must hold: what a read at
QUORUM lacks is read again after all that is under way is settled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from server.kernel.errors import Unavailable
from server.kernel.ids import RoomId, Seq
from server.kernel.logs import get_logger
from storage.api import Event
from storage.cassandra.rooms import Bucket, Info, Room, Rooms
from storage.cassandra.rows import BUCKET, LogRow, event_of
from storage.cassandra.session import Session

ROWS_AT_ONCE = 200
SEQS_AT_ONCE = 100

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row lies."""

    bucket: int
    row: LogRow


@dataclass(frozen=True, slots=True)
class Bounds:
    """first <= seq <= last."""

    first: int
    last: int


class Pages:
    """Finds rows of rooms' logs."""

    def __init__(self, session: Session, rooms: Rooms) -> None:
        self._session = session
        self._rooms = rooms

    async def locate(
        self, room: Room, seqs: Collection[int], *, serial: bool = False
    ) -> dict[Seq, Place]:
        """Single rows; those that are not there are left out."""
        found: dict[Seq, Place] = {}
        wanted: dict[int, list[int]] = {}
        for seq in sorted(seqs):
            if seq > 0:
                wanted.setdefault((seq - 1) // BUCKET, []).append(seq)
        for bucket, some in wanted.items():
            found |= await self._some(room, bucket, some, serial)
            past = [seq for seq in some if seq not in found]
            if past and bucket > 0:
                found |= await self._some(room, bucket - 1, past, serial)
        return found

    async def _some(
        self, room: Room, bucket: int, seqs: list[int], serial: bool
    ) -> dict[Seq, Place]:
        found: dict[Seq, Place] = {}
        for at in range(0, len(seqs), SEQS_AT_ONCE):
            some = seqs[at : at + SEQS_AT_ONCE]
            for values in await self._session.read("some", room.id, bucket, some, serial=serial):
                row = LogRow(*values)
                found[Seq(row.seq)] = Place(bucket, row)
        return found

    # ---- pages -----------------------------------------------------------------------------------

    async def page(
        self, room: Room, info: Info, *,
        after: Seq, before: Seq | None, limit: int, newest: bool, max_bytes: int,
    ) -> tuple[list[Event], bool]:  # fmt: skip
        """As `RoomLog.read` of all types."""
        bounds = _within(await self._rooms.tip(room), info, after, before)
        total = bounds.last - bounds.first + 1
        if total <= 0 or limit <= 0:
            return [], total > 0
        page = _Page(min(limit, total), max_bytes)
        first, last = bounds.first, bounds.last
        while not page.full and first <= last:
            count = min(ROWS_AT_ONCE, page.wanted, last - first + 1)
            part = Bounds(last - count + 1, last) if newest else Bounds(first, first + count - 1)
            rows = await self._dense(room, info, part)
            page.take(reversed(rows) if newest else rows)
            if newest:
                last = part.first - 1
            else:
                first = part.last + 1
        return page.events(room.id, info, newest), len(page.rows) < total

    async def _dense(self, room: Room, info: Info, part: Bounds) -> list[LogRow]:
        """All rows of `part`, ascending. Raises Unavailable: there is a hole."""
        for serial in (False, True):
            rows: dict[int, LogRow] = {}
            for bucket in _buckets(part):
                at = (room.id, bucket, part.first, part.last)
                for values in await self._session.read("range", *at, serial=serial):
                    row = LogRow(*values)
                    rows[row.seq] = row
            past = _before_edge(rows, part)
            if past is not None:
                at = (room.id, past[0], past[1].first, past[1].last)
                for values in await self._session.read("range", *at, serial=serial):
                    row = LogRow(*values)
                    rows[row.seq] = row
            if len(rows) == part.last - part.first + 1:
                return [rows[seq] for seq in sorted(rows)]
        fresh = await self._rooms.info(room, fresh=True)
        if fresh is not None and fresh.first_seq > part.first:
            return [rows[seq] for seq in sorted(rows) if seq >= fresh.first_seq]
        log.error("cassandra.hole", room_id=room.id, first=part.first, rows=len(rows))
        raise Unavailable("The room's log cannot be read now. Try again.", retry_after_s=1.0)

    # ---- the view of messages --------------------------------------------------------------------

    async def messages(
        self, room: Room, info: Info, *,
        after: Seq, before: Seq | None, limit: int, newest: bool, max_bytes: int,
    ) -> tuple[list[Event], bool]:  # fmt: skip
        """As `RoomLog.read` of messages alone."""
        tip = await self._rooms.tip(room)
        bounds = _within(tip, info, after, before)
        page = _Page(limit, max_bytes)
        if bounds.first > bounds.last:
            return [], False
        numbers = range(await self._bucket_of(room, bounds.first), tip.number + 1)
        for number in reversed(numbers) if newest else numbers:
            rest = Bounds(bounds.first, bounds.last)
            while rest.first <= rest.last:
                count = min(ROWS_AT_ONCE, page.wanted + 1)
                rows = await self._messages(room, tip, number, rest, count, newest)
                page.take(rows)
                if page.left_out:
                    return page.events(room.id, info, newest), True
                if len(rows) < count:
                    break
                seq = rows[-1].seq
                rest = Bounds(rest.first, seq - 1) if newest else Bounds(seq + 1, rest.last)
        return page.events(room.id, info, newest), False

    async def _messages(
        self, room: Room, tip: Bucket, number: int, rest: Bounds, count: int, newest: bool
    ) -> list[LogRow]:
        """The next `count` messages of a bucket. In the open one, which may be in motion, they
        and the other events of their range must make it whole.
        """
        text = "messages_back" if newest else "messages"
        at = (room.id, number, rest.first, rest.last, count)
        rows = [LogRow(*values) for values in await self._session.read(text, *at)]
        if number < tip.number:
            return rows
        part = Bounds(max(rest.first, tip.start, 1), rest.last)
        if len(rows) == count:
            part = Bounds(rows[-1].seq, rest.last) if newest else Bounds(part.first, rows[-1].seq)
        span = (room.id, number, part.first, part.last)
        others = (await self._session.read("count_others", *span))[0][0]
        if len(rows) + others >= part.last - part.first + 1:
            return rows
        read = await self._session.read(text, *at, serial=True)
        return [LogRow(*values) for values in read]

    async def _bucket_of(self, room: Room, seq: int) -> int:
        """Where the event `seq` lies: in its own bucket unless that starts later."""
        number = (seq - 1) // BUCKET
        if number == 0:
            return 0
        bucket: Bucket | None = await self._rooms.bucket(room, number)
        return number if bucket is not None and bucket.start <= seq else number - 1


class _Page:
    """Takes rows in the order of reading until `limit` or `max_bytes` is reached."""

    def __init__(self, limit: int, max_bytes: int) -> None:
        self.rows: list[LogRow] = []
        self.left_out = False
        self._limit = limit
        self._max_bytes = max_bytes
        self._size = 0

    @property
    def wanted(self) -> int:
        return self._limit - len(self.rows)

    @property
    def full(self) -> bool:
        return self.left_out or self.wanted <= 0

    def take(self, rows: Iterable[LogRow]) -> None:
        for row in rows:
            self._size += len(row.content or b"")
            if self.wanted <= 0 or (self.rows and self._size > self._max_bytes):
                self.left_out = True
                return
            self.rows.append(row)

    def events(self, room_id: RoomId, info: Info, newest: bool) -> list[Event]:
        rows = reversed(self.rows) if newest else self.rows
        return [event_of(row, room_id, info.log_id) for row in rows]


def _within(tip: Bucket, info: Info, after: Seq, before: Seq | None) -> Bounds:
    last = tip.head if before is None else min(tip.head, before - 1)
    return Bounds(max(after + 1, info.first_seq), last)


def _buckets(part: Bounds) -> range:
    return range((part.first - 1) // BUCKET, (part.last - 1) // BUCKET + 1)


def _before_edge(rows: dict[int, LogRow], part: Bounds) -> tuple[int, Bounds] | None:
    """The bucket before the first, for rows at the start of `part` that it may hold."""
    number = (part.first - 1) // BUCKET
    end = min(rows, default=part.last + 1) - 1
    if number == 0 or end < part.first:
        return None
    return number - 1, Bounds(part.first, end)
