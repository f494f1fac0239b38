"""What time makes due: expired rows, and rows that are older than the operator keeps."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from server.kernel.clock import Clock
from server.kernel.ids import RoomId, Seq
from storage.cassandra.indexes import HOUR_MS, RETAINED
from storage.cassandra.pages import Pages, Place
from storage.cassandra.rooms import Rooms
from storage.cassandra.rows import LogRow, meta_of
from storage.cassandra.session import Session

Found = tuple[RoomId, Seq]
Aged = tuple[int, RoomId, Seq]
"""The row's time first."""

ROWS_AT_ONCE = 200
MOST_OF_AN_HOUR = 100_000
SETTLED_H = 24
"""Hours older than this get no more rows, whatever the clocks of the nodes are."""
LOOK_AGAIN_S = 3600.0
"""An hour long past, where nothing was left, is looked at again after this."""


@dataclass
class Calendar:
    """Walks the hours from the oldest on."""

    session: Session
    clock: Clock
    rooms: Rooms
    pages: Pages

    def __post_init__(self) -> None:
        self._quiet: dict[tuple[str, int], float] = {}
        self._old: dict[int, list[Aged]] = {}
        """Rows of the oldest hours as they were read, oldest first: retention asks in bites."""

    async def due(self, now_ms: int, limit: int) -> list[Found]:
        due: list[Found] = []
        for hour in await self._hours("expiry", now_ms):
            found, left = await self._due_in(hour, now_ms, limit - len(due))
            due.extend(found)
            if len(due) >= limit:
                break
            if not left and (hour + 1) * HOUR_MS <= now_ms:
                self._rest("expiry", hour)
        return due

    async def _due_in(self, hour: int, now_ms: int, limit: int) -> tuple[list[Found], bool]:
        """The first that are due in an hour, and whether any row of the index is left there. More
        are read only when those read first tell of appends that never came.
        """
        count = 4 * limit
        while True:
            read = await self.session.read("expiries", hour, now_ms, count)
            judged: list[tuple[Found | None, bool]] = []
            for at in range(0, len(read), ROWS_AT_ONCE):
                judged.extend(await self._judge(hour, read[at : at + ROWS_AT_ONCE]))
            due = [found for found, _ in judged if found is not None]
            if len(due) >= limit or len(read) < count or count >= MOST_OF_AN_HOUR:
                return due[:limit], any(not done for _, done in judged)
            count *= 4

    async def _judge(
        self, hour: int, read: Collection[tuple[int, str, int]]
    ) -> list[tuple[Found | None, bool]]:
        """For each: what is due, and whether its row of the index is done with and gone."""
        places = await self._places([(RoomId(room_id), Seq(seq)) for _, room_id, seq in read])
        judged: list[tuple[Found | None, bool]] = []
        for expires_at, room_id, seq in read:
            found = (RoomId(room_id), Seq(seq))
            place = places.get(found)
            if place is None:
                done = await self._was_dropped(found)
            else:
                is_it = meta_of(place.row).expires_at == expires_at
                done = not is_it or place.row.gone is not None
            if done:
                await self.session.write("drop_expiry", hour, expires_at, room_id, seq)
            judged.append((None if done or place is None else found, done))
        return judged

    async def older_than(self, at_ms: int, limit: int) -> list[Found]:
        old: list[Found] = []
        for hour in await self._hours("activity", at_ms - 1):
            rows = self._old.pop(hour, None) or await self._rows_of(hour)
            if not rows:
                await self._settle(hour)
                continue
            kept, seen = await self._with_content(rows, at_ms, limit - len(old))
            old.extend((room_id, seq) for _, room_id, seq in kept)
            self._old[hour] = kept + rows[seen:]
            if len(old) >= limit:
                break
        return old[:limit]

    async def _with_content(
        self, rows: list[Aged], at_ms: int, limit: int
    ) -> tuple[list[Aged], int]:
        """The first of `rows` that are old enough and not gone by now; how many were looked at."""
        kept: list[Aged] = []
        seen = 0
        while len(kept) < limit and seen < len(rows) and rows[seen][0] < at_ms:
            bite = [row for row in rows[seen : seen + ROWS_AT_ONCE] if row[0] < at_ms]
            there = await self._places([(room_id, seq) for _, room_id, seq in bite])
            kept.extend(row for row in bite if _has_content(there.get((row[1], row[2]))))
            seen += len(bite)
        return kept, seen

    async def _rows_of(self, hour: int) -> list[Aged]:
        """Messages and edits of the hour that have content, oldest first."""
        starts: dict[tuple[RoomId, int], int] = {}
        for room_id, bucket, seq in await self.session.read("activity", hour):
            place = (RoomId(room_id), bucket)
            starts[place] = min(seq, starts.get(place, seq))
        rows: list[Aged] = []
        for (room_id, bucket), start in starts.items():
            async for row in self._rows_from(room_id, bucket, start, (hour + 3) * HOUR_MS):
                meta = meta_of(row)
                if meta.at // HOUR_MS == hour and meta.type in RETAINED and row.gone is None:
                    rows.append((meta.at, room_id, Seq(row.seq)))
            if len(rows) > MOST_OF_AN_HOUR:
                rows = heapq.nsmallest(MOST_OF_AN_HOUR, rows)
        return sorted(rows)

    async def _rows_from(
        self, room_id: RoomId, bucket: int, start: int, until_ms: int
    ) -> AsyncIterator[LogRow]:
        """Of a bucket, until its events are two hours past the hour that is looked for."""
        info = await self.rooms.info(self.rooms.room(room_id))
        start = start if info is None else max(start, info.first_seq)
        while True:
            end = start + ROWS_AT_ONCE - 1
            read = await self.session.read("range", room_id, bucket, start, end)
            for values in read:
                yield LogRow(*values)
            if not read or min(meta_of(LogRow(*values)).at for values in read) >= until_ms:
                return
            start = end + 1

    async def _settle(self, hour: int) -> None:
        """Nothing is left of the hour: forget it, once nothing can come to it."""
        self._rest("activity", hour)
        if hour < self.clock.now_ms() // HOUR_MS - SETTLED_H:
            for room_id, bucket, seq in await self.session.read("activity", hour):
                await self.session.write("drop_activity", hour, room_id, bucket, seq)

    async def _hours(self, name: str, until_ms: int) -> list[int]:
        """Those that have rows, ascending; without those at rest."""
        now = self.clock.monotonic()
        hours = [hour for (hour,) in await self.session.read("hours", name, until_ms // HOUR_MS)]
        return [hour for hour in hours if self._quiet.get((name, hour), 0.0) <= now]

    def _rest(self, name: str, hour: int) -> None:
        if hour < self.clock.now_ms() // HOUR_MS - SETTLED_H:
            self._quiet[name, hour] = self.clock.monotonic() + LOOK_AGAIN_S

    async def _places(self, wanted: Collection[Found]) -> dict[Found, Place]:
        rooms: dict[RoomId, list[int]] = {}
        for room_id, seq in wanted:
            rooms.setdefault(room_id, []).append(seq)
        places: dict[Found, Place] = {}
        for room_id, seqs in rooms.items():
            found = await self.pages.locate(self.rooms.room(room_id), seqs)
            places |= {(room_id, seq): place for seq, place in found.items()}
        return places

    async def _was_dropped(self, found: Found) -> bool:
        info = await self.rooms.info(self.rooms.room(found[0]))
        return info is not None and found[1] < info.first_seq


def _has_content(place: Place | None) -> bool:
    return place is not None and place.row.gone is None
