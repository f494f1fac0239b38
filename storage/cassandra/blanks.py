"""Blanking: always a conditional update, as a row's content was written by one too.

Rows in the bucket of an append are blanked by its own batch. For those in other buckets the batch
leaves an errand beside its events, which is carried out right after it, and by whoever finds it
when the process died in between; a row in the table of errands, written before, leads to it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import uuid4

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import RoomId, Seq
from server.kernel.logs import get_logger
from storage.api import Gone
from storage.cassandra.pages import Pages, Place
from storage.cassandra.rooms import Room, Rooms
from storage.cassandra.rows import GONE_NUMBER, errand_of, errand_value
from storage.cassandra.session import Session, Step

ROWS_AT_ONCE = 100
TIMES = 5
"""Each time, some row was blanked by another between reading and writing."""
SWEEP_EVERY_S = 10.0
YOUNG_MS = 30_000
"""An errand's own process is still at it."""
STALE_MS = 4 * 3600 * 1000
"""No append takes this long, whatever the clocks say: its errand never came to be."""

log = get_logger(__name__)

Wanted = tuple[Seq, Gone]


@dataclass(frozen=True, slots=True)
class Planned:
    """What an append's batch blanks itself, and the errand it leaves for the rest."""

    steps: list[Step] = field(default_factory=list)
    errand: str | None = None
    elsewhere: list[Wanted] = field(default_factory=list)


@dataclass
class Blanks:
    """Takes the content of rows."""

    session: Session
    clock: Clock
    rooms: Rooms
    pages: Pages

    def __post_init__(self) -> None:
        self._swept_at = 0.0

    async def plan(self, room: Room, blanks: Collection[Wanted], bucket: int) -> Planned:
        """For a batch that goes into `bucket`."""
        if not blanks:
            return Planned()
        found = await self.pages.locate(room, [seq for seq, _ in blanks])
        planned, elsewhere = [], []
        for seq, gone in blanks:
            place = found.get(seq)
            if place is None or place.row.gone is not None:
                continue
            if place.bucket == bucket:
                planned.append(_step(room.id, place, gone))
            else:
                elsewhere.append((seq, gone))
        if not elsewhere:
            return Planned(planned)
        errand = str(uuid4())
        await self.session.write("note_errand", errand, room.id, bucket, self.clock.now_ms())
        value = errand_value(elsewhere)
        planned.append(("errand_row", (room.id, bucket, errand.encode(), value)))
        return Planned(planned, errand, elsewhere)

    async def blank(self, room: Room, blanks: Collection[Wanted]) -> None:
        """Bucket by bucket; again where another was quicker. Raises Unavailable."""
        wanted = dict(blanks)
        for _ in range(TIMES):
            found = await self.pages.locate(room, wanted.keys())
            buckets: dict[int, list[Step]] = {}
            for seq, place in found.items():
                if place.row.gone is None:
                    steps = buckets.setdefault(place.bucket, [])
                    steps.append(_step(room.id, place, wanted[seq]))
            again = False
            for steps in buckets.values():
                for at in range(0, len(steps), ROWS_AT_ONCE):
                    rows, _ = await self.session.insist(steps[at : at + ROWS_AT_ONCE])
                    again = again or bool(rows)
            if not again:
                return
        raise Unavailable("The room is being changed by others. Try again.", retry_after_s=1.0)

    # ---- errands ---------------------------------------------------------------------------------

    async def run_errand(
        self, room: Room, bucket: int, errand: str, blanks: Collection[Wanted]
    ) -> None:
        """What an append that is stored left to do; its caller need not know when it fails."""
        try:
            await self.blank(room, blanks)
            await self.session.insist([("drop_errand_row", (room.id, bucket, errand.encode()))])
            await self.session.write("drop_errand", errand)
        except Unavailable:
            log.warning("cassandra.errand_left", room_id=room.id)

    async def sweep(self) -> None:
        """Carry out errands whose process died."""
        if self.clock.monotonic() - self._swept_at < SWEEP_EVERY_S and self._swept_at:
            return
        self._swept_at = self.clock.monotonic()
        for errand, room_id, bucket, at in await self.session.read("errands"):
            age_ms = self.clock.now_ms() - at
            if age_ms < YOUNG_MS:
                continue
            cid = str(errand).encode()
            rows = await self.session.read("errand", room_id, bucket, cid, serial=True)
            room = self.rooms.room(RoomId(room_id))
            if rows:
                await self.run_errand(room, bucket, errand, errand_of(rows[0][0]))
            elif age_ms > STALE_MS:
                await self.session.write("drop_errand", errand)


def _step(room_id: RoomId, place: Place, gone: Gone) -> Step:
    row = place.row
    return "blank", (GONE_NUMBER[gone], room_id, place.bucket, row.kind, row.seq)
