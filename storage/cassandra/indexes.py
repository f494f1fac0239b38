"""Small tables beside the log: what expires when, what was active when, what targets what.

Their rows are written before the append that they tell of, so a crash between the two loses none.
Rows whose append never came are harmless: every find is checked against the log. They are plain
inserts of keys without values, so clocks and repeats cannot spoil them; they are deleted only
when the log shows that they can never be meant again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from server.kernel.clock import Clock
from server.kernel.ids import RoomId, Seq
from storage.api import Batch, EventType
from storage.cassandra.pages import Pages
from storage.cassandra.rooms import Room
from storage.cassandra.rows import BUCKET, meta_of
from storage.cassandra.session import Session

HOUR_MS = 3_600_000
RETAINED = ("message", "edit")
"""What retention blanks: the types whose content people wrote."""
CLOCKS_H = 2
"""Of hours further back than this, what was noted before is not believed: others may have done
away with it.
"""
NOTED = 50_000


@dataclass
class Indexes:
    """Writes them for each append."""

    session: Session
    clock: Clock
    pages: Pages

    def __post_init__(self) -> None:
        self._noted: set[tuple[str, int, RoomId, int]] = set()

    async def note(self, batch: Batch, bucket: int) -> None:
        work: list[Awaitable[None]] = []
        hours: set[tuple[str, int]] = set()
        for event in batch.events:
            if event.target_seq is not None:
                target = (event.target_seq // BUCKET, event.target_seq, event.type, event.seq)
                work.append(self.session.write("target", batch.room_id, *target))
            if event.expires_at is not None and event.gone is None:
                hour = event.expires_at // HOUR_MS
                hours.add(("expiry", hour))
                expiry = (hour, event.expires_at, batch.room_id, event.seq)
                work.append(self.session.write("expiry", *expiry))
            if event.type in RETAINED:
                hour = event.at // HOUR_MS
                if self._is_new("activity", hour, batch.room_id, bucket):
                    hours.add(("activity", hour))
                    activity = (hour, batch.room_id, bucket, event.seq)
                    work.append(self.session.write("active", *activity))
        for name, hour in hours:
            if self._is_new(name, hour, RoomId(""), 0):
                work.append(self.session.write("hour", name, hour))
        if work:
            await self._all(work)

    async def _all(self, work: list[Awaitable[None]]) -> None:
        try:
            await asyncio.gather(*work)
        except BaseException:
            self._noted.clear()
            raise

    def _is_new(self, name: str, hour: int, room_id: RoomId, bucket: int) -> bool:
        if hour < self.clock.now_ms() // HOUR_MS - CLOCKS_H:
            return True
        key = (name, hour, room_id, bucket)
        if key in self._noted:
            return False
        if len(self._noted) >= NOTED:
            self._noted.clear()
        self._noted.add(key)
        return True

    async def targeting(self, room: Room, target_seq: Seq, type: EventType) -> list[Seq]:
        place = (target_seq // BUCKET, target_seq, type)
        seqs = [seq for (seq,) in await self.session.read("targeting", room.id, *place)]
        found = await self.pages.locate(room, seqs)
        metas = {seq: meta_of(place.row) for seq, place in found.items()}
        return sorted(
            seq for seq, meta in metas.items() if (meta.target_seq, meta.type) == (target_seq, type)
        )
