"""Room logs in Cassandra."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId, RoomId, Seq, UserId, uuid7
from storage.api import Batch, Claim, Event, EventType, Gone, LogHead, Refused
from storage.cassandra.appender import Appender
from storage.cassandra.blanks import Blanks
from storage.cassandra.calendar import Calendar
from storage.cassandra.claims import Claims
from storage.cassandra.dropping import Dropping
from storage.cassandra.indexes import Indexes
from storage.cassandra.outcomes import Outcomes
from storage.cassandra.pages import Pages
from storage.cassandra.rooms import Rooms
from storage.cassandra.rows import event_of, meta_of
from storage.cassandra.session import Session

ROOMS_AT_ONCE = 64
TIMES = 5


class CassandraLog:
    """Implements `storage.api.RoomLog`."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._rooms = Rooms(session, clock)
        self._claims = Claims(session, self._rooms)
        self._pages = Pages(session, self._rooms)
        self._indexes = Indexes(session, clock, self._pages)
        self._blanks = Blanks(session, clock, self._rooms, self._pages)
        self._calendar = Calendar(session, clock, self._rooms, self._pages)
        self._dropping = Dropping(session, self._rooms, self._pages)
        outcomes = Outcomes(session)
        self._appender = Appender(
            session, clock, self._rooms, self._claims, self._blanks, self._indexes, outcomes
        )

    async def create(self, room_id: RoomId, log_id: LogId) -> bool:
        rows, unsure = await self._session.insist([("create", (room_id, log_id))])
        return not rows or (unsure and rows[0].get("log_id") == log_id)

    async def heads(self, room_ids: Collection[RoomId]) -> dict[RoomId, LogHead]:
        found: dict[RoomId, LogHead] = {}
        asked = list(dict.fromkeys(room_ids))
        if not asked:
            self._session.check_open()
        for at in range(0, len(asked), ROOMS_AT_ONCE):
            some = asked[at : at + ROOMS_AT_ONCE]
            heads = await asyncio.gather(*(self._head(room_id) for room_id in some))
            found |= {
                room_id: head for room_id, head in zip(some, heads, strict=True) if head is not None
            }
        return found

    async def _head(self, room_id: RoomId) -> LogHead | None:
        room = self._rooms.room(room_id)
        info = await self._rooms.info(room, fresh=True)
        if info is None:
            return None
        tip = await self._rooms.tip(room)
        return LogHead(info.log_id, tip.head, info.first_seq, tip.n)

    def append(self, batch: Batch) -> asyncio.Future[Refused | None]:
        return self._appender.submit(batch)

    async def read(
        self,
        room_id: RoomId,
        *,
        after: Seq = Seq(0),
        before: Seq | None = None,
        limit: int,
        newest: bool = False,
        messages: bool = False,
        max_bytes: int = 262_144,
    ) -> tuple[list[Event], bool]:
        room = self._rooms.room(room_id)
        info = await self._rooms.info(room)
        if info is None:
            return [], False
        read = self._pages.messages if messages else self._pages.page
        return await read(
            room, info, after=after, before=before, limit=limit, newest=newest, max_bytes=max_bytes
        )

    async def rows(self, room_id: RoomId, seqs: Collection[Seq]) -> dict[Seq, Event]:
        room = self._rooms.room(room_id)
        info = await self._rooms.info(room)
        if info is None:
            return {}
        found = await self._pages.locate(room, seqs)
        return {
            seq: event_of(place.row, room_id, info.log_id)
            for seq, place in found.items()
            if seq >= info.first_seq
        }

    async def counts(self, points: Collection[tuple[RoomId, Seq]]) -> dict[tuple[RoomId, Seq], int]:
        asked = list(dict.fromkeys(points))
        found: dict[tuple[RoomId, Seq], int] = {}
        for at in range(0, len(asked), ROOMS_AT_ONCE):
            some = asked[at : at + ROOMS_AT_ONCE]
            counts = await asyncio.gather(*(self._count(*point) for point in some))
            found |= zip(some, counts, strict=True)
        return found

    async def _count(self, room_id: RoomId, seq: Seq) -> int:
        room = self._rooms.room(room_id)
        info = await self._rooms.info(room) if seq > 0 else None
        if info is None:
            return 0
        if seq < info.first_seq:
            return info.base_n
        place = (await self._pages.locate(room, [seq])).get(seq)
        if place is not None:
            return meta_of(place.row).n
        return (await self._rooms.tip(room)).n

    async def claims(
        self, room_id: RoomId, keys: Collection[tuple[UserId, str]]
    ) -> dict[tuple[UserId, str], Claim]:
        room = self._rooms.room(room_id)
        if not keys or await self._rooms.info(room) is None:
            return {}
        return await self._claims.find(room, keys, await self._rooms.tip(room))

    async def targeting(self, room_id: RoomId, target_seq: Seq, type: EventType) -> list[Seq]:
        return await self._indexes.targeting(self._rooms.room(room_id), target_seq, type)

    async def blank(self, room_id: RoomId, seqs: Collection[Seq], gone: Gone) -> None:
        room = self._rooms.room(room_id)
        if seqs and await self._rooms.info(room) is not None:
            await self._blanks.blank(room, [(seq, gone) for seq in seqs])

    async def due(self, now_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        await self._blanks.sweep()
        return await self._calendar.due(now_ms, limit)

    async def older_than(self, at_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        return await self._calendar.older_than(at_ms, limit)

    async def drop_before(self, room_id: RoomId, seq: Seq) -> None:
        await self._dropping.drop_before(self._rooms.room(room_id), seq)

    async def drop_claims(self, before_ms: int) -> int:
        return await self._dropping.drop_claims(before_ms)

    async def renew(self) -> None:
        for room_id, log_id, _ in await self._session.read("rooms"):
            if log_id is not None:
                await self._session.insist([("rename", (fresh_log_id(), room_id, log_id))])
        self._rooms.forget()

    async def room_ids(self) -> list[RoomId]:
        rows = await self._session.read("rooms")
        return sorted(RoomId(room_id) for room_id, log_id, _ in rows if log_id is not None)

    async def check(self) -> None:
        """Writes. Raises Unavailable, with a text for the operator."""
        try:
            await self._session.write("check")
        except Unavailable:
            text = "Cassandra does not take writes at QUORUM: see its nodes."
            raise Unavailable(text, retry_after_s=1.0) from None

    async def close(self) -> None:
        await self._appender.close()
        await self._session.close()


def fresh_log_id() -> LogId:
    """A log id that never was. Undated: it orders nothing."""
    return LogId(uuid7(0, os.urandom))
