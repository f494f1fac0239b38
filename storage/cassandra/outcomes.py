"""What became of a conditional batch that had no answer: found by reading, never guessed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from server.kernel.errors import Unavailable
from server.kernel.ids import Seq
from server.kernel.logs import get_logger
from storage.api import Batch
from storage.cassandra.rooms import Bucket, Room
from storage.cassandra.rows import CLAIM, LogRow, claim_key, claim_of, meta_of
from storage.cassandra.session import Session

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch goes. `opens`: it is the first of its bucket; `before` is the one before."""

    number: int
    opens: bool
    opened: int
    before: Bucket

    @property
    def as_bucket(self) -> Bucket:
        return Bucket(self.number, Seq(0), 0, Seq(0), self.opened)


@dataclass
class Outcomes:
    """Resolves them, by reads at LOCAL_SERIAL."""

    session: Session

    async def settled(
        self, room: Room, batch: Batch, place: Place, give_up: float
    ) -> list[dict[str, Any]] | None:
        """What became of a batch without an answer: [] it is stored, None it is not and the head
        is as before, else rows as of a refusal. A serial read ends what is under way, unless a
        coordinator that lost us goes on trying: then its batch and ours meet at the condition.
        """
        pause_s = 0.02
        while True:
            try:
                if await self.is_there(room, batch, place):
                    return []
                rows = await self.session.read("head", room.id, place.number, serial=True)
                break
            except Unavailable:
                if asyncio.get_running_loop().time() >= give_up:
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 0.5)
        head = rows[0][0] if rows else None
        log.info("cassandra.append_resolved", room_id=room.id, head=head, if_head=batch.if_head)
        if head == (None if place.opens else batch.if_head):
            return None
        return await self._as_refused(room, batch, place, head)

    async def _as_refused(
        self, room: Room, batch: Batch, place: Place, head: int | None
    ) -> list[dict[str, Any]]:
        """The rows that the refusal would have told."""
        cids = [claim_key(claim.sender_id, claim.client_id) for claim in batch.claims]
        found = await self.session.read("claims", room.id, place.number, cids, serial=True)
        told = [{"head": head, "kind": CLAIM, "cid": cid, "meta": meta} for cid, meta in found]
        return told or [{"head": head}]

    async def is_there(self, room: Room, batch: Batch, place: Place) -> bool:
        """Whether just this batch was stored: it is all or nothing, so one row tells."""
        at = (room.id, place.number)
        if batch.events:
            first = batch.events[0]
            rows = await self.session.read("some", *at, [first.seq], serial=True)
            return bool(rows) and meta_of(LogRow(*rows[0])).id == first.id
        if batch.claims:
            claim = batch.claims[0]
            cid = claim_key(claim.sender_id, claim.client_id)
            rows = await self.session.read("claims", *at, [cid], serial=True)
            return bool(rows) and claim_of(*rows[0]) == claim
        return False
