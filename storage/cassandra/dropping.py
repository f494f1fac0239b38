"""What is removed for good: the oldest rows of a log, and claims of rows that are not there."""

from __future__ import annotations

from dataclasses import dataclass

from server.kernel.errors import Unavailable
from server.kernel.ids import RoomId, Seq
from storage.cassandra.pages import Pages
from storage.cassandra.rooms import Bucket, Info, Room, Rooms
from storage.cassandra.rows import BUCKET, MESSAGE, OTHER, claim_of, meta_of
from storage.cassandra.session import Session, Step

CLAIMS_AT_ONCE = 100
TIMES = 20


@dataclass
class Dropping:
    """Deletes by conditional batches on the bucket's head, so that its time stamps are those of
    the rows; never a whole partition, as its head would go with it.
    """

    session: Session
    rooms: Rooms
    pages: Pages

    async def drop_before(self, room: Room, seq: Seq) -> None:
        tip = await self.rooms.tip(room, serial=True)
        first = Seq(min(seq, tip.head + 1))
        info = await self.rooms.info(room, fresh=True)
        if info is None:
            return
        if first > info.first_seq:
            await self._raise(room, info, first)
        await self._drop_rows(room, tip)

    async def _raise(self, room: Room, info: Info, first: Seq) -> None:
        """Before the rows go: a reader never misses one that it should have."""
        last = Seq(first - 1)
        found = await self.pages.locate(room, [last], serial=True)
        if last not in found:
            return  # another has dropped it already
        n = meta_of(found[last].row).n
        current: Info | None = info
        while current is not None and current.first_seq < first:
            step: Step = ("raise", (first, n, room.id, current.first_seq))
            rows, _ = await self.session.insist([step])
            if not rows:
                break
            current = await self.rooms.info(room, fresh=True)
        await self.rooms.info(room, fresh=True)

    async def _drop_rows(self, room: Room, tip: Bucket) -> None:
        """All before first_seq, from where an earlier run is known to have come to its end."""
        info = await self.rooms.info(room, fresh=True)
        assert info is not None
        rows_from = (await self.session.read("rows_from", room.id))[0][0] or 1
        if rows_from >= info.first_seq:
            return
        first = max(0, (rows_from - 1) // BUCKET - 1)
        for number in range(first, min(tip.number, (info.first_seq - 1) // BUCKET) + 1):
            steps: list[Step] = [
                ("drop_rows", (room.id, number, kind, info.first_seq)) for kind in (MESSAGE, OTHER)
            ]
            await self._with_head(room, number, steps)
        await self.session.write("set_rows_from", info.first_seq, room.id)

    async def drop_claims(self, before_ms: int) -> int:
        dropped = 0
        for room_id, log_id, first_seq in await self.session.read("rooms"):
            if log_id is not None and first_seq > 1:
                dropped += await self._drop_claims(RoomId(room_id), first_seq, before_ms)
        return dropped

    async def _drop_claims(self, room_id: RoomId, first_seq: int, before_ms: int) -> int:
        """Of the buckets up to the first row that is still there: a claim of an older row that
        lies in a later one waits for it.
        """
        room, dropped = self.rooms.room(room_id), 0
        for number in range((first_seq - 1) // BUCKET + 1):
            old = []
            for cid, value in await self.session.read("all_claims", room_id, number):
                claim = claim_of(cid, value)
                if claim.at < before_ms and claim.seq < first_seq:
                    old.append(cid)
            for at in range(0, len(old), CLAIMS_AT_ONCE):
                some = old[at : at + CLAIMS_AT_ONCE]
                steps: list[Step] = [("drop_claim", (room_id, number, cid)) for cid in some]
                await self._with_head(room, number, steps)
            dropped += len(old)
        return dropped

    async def _with_head(self, room: Room, number: int, steps: list[Step]) -> None:
        """Carry out deletes in a bucket whatever its head is."""
        for _ in range(TIMES):
            bucket = await self.rooms.bucket(room, number)
            if bucket is None:
                return
            hold: Step = ("hold", (bucket.head, room.id, number, bucket.head))
            rows, _ = await self.session.insist([hold, *steps])
            if not rows:
                return
        raise Unavailable("The room is being changed by others. Try again.", retry_after_s=1.0)
