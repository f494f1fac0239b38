"""Appends: one conditional batch each, in call order for a room; unknown outcomes are resolved by
reading, never guessed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.kernel.clock import Clock
from server.kernel.errors import AppError, Unavailable
from server.kernel.ids import RoomId, Seq, UserId
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import Batch, Claim, Refused
from storage.cassandra.blanks import Blanks, Planned
from storage.cassandra.claims import Claims
from storage.cassandra.indexes import Indexes
from storage.cassandra.outcomes import Outcomes, Place
from storage.cassandra.rooms import NOTHING, Bucket, Room, Rooms
from storage.cassandra.rows import (
    BUCKET,
    CLAIM,
    claim_key,
    claim_of,
    claim_value,
    event_steps,
)
from storage.cassandra.session import Session, Step, Unknown

LONGEST_BATCH = BUCKET
"""Events; a longer one could skip a bucket."""
WAITING = 1000
"""Appends of one room that may wait for their turn."""
TRY_S = 10.0
"""An append whose outcome stays unknown for this long is given up, and the caller told so."""

log = get_logger(__name__)

Outcome = asyncio.Future[Refused | None]


@dataclass
class Appender:
    """Carries out appends; each room's one after the other."""

    session: Session
    clock: Clock
    rooms: Rooms
    claims: Claims
    blanks: Blanks
    indexes: Indexes
    outcomes: Outcomes

    def __post_init__(self) -> None:
        self._tasks = TaskOwner("cassandra.append")
        self._waiting: dict[RoomId, deque[tuple[Batch, Outcome]]] = {}
        self._closed = False

    def submit(self, batch: Batch) -> Outcome:
        """Its place in the order is taken now."""
        check_order(batch)
        outcome: Outcome = asyncio.get_running_loop().create_future()
        queue = self._waiting.get(batch.room_id)
        if self._closed or (queue is not None and len(queue) >= WAITING):
            raise Unavailable("The store cannot serve now. Try again later.", retry_after_s=1.0)
        if queue is not None:
            queue.append((batch, outcome))
            return outcome
        self._waiting[batch.room_id] = deque([(batch, outcome)])
        self._tasks.start(self._drain(batch.room_id), batch.room_id)
        return outcome

    async def close(self) -> None:
        self._closed = True
        await self._tasks.close()

    async def _drain(self, room_id: RoomId) -> None:
        queue = self._waiting[room_id]
        try:
            while queue:
                batch, outcome = queue[0]
                if not outcome.cancelled():
                    await self._answer(batch, outcome)
                queue.popleft()
        finally:
            del self._waiting[room_id]
            lost = Unavailable("The store stopped under way. Try again.", retry_after_s=1.0)
            for _, outcome in queue:
                if not outcome.done():
                    outcome.set_exception(lost)

    async def _answer(self, batch: Batch, outcome: Outcome) -> None:
        try:
            refused = await self._append(batch)
        except (AppError, LookupError) as error:
            if not outcome.done():
                outcome.set_exception(error)
            return
        if not outcome.done():
            outcome.set_result(refused)

    # ---- one append ------------------------------------------------------------------------------

    async def _append(self, batch: Batch) -> Refused | None:
        room = self.rooms.room(batch.room_id)
        await self.rooms.known(room)
        keys = [(claim.sender_id, claim.client_id) for claim in batch.claims]
        noted = False
        while True:
            place = await self._place(room, batch.if_head)
            if place is None:
                return await self._refusal(room, batch)
            if place.number > 0 and await self.claims.before(room, keys, place.as_bucket):
                return await self._refusal(room, batch)
            if not noted:
                await self.indexes.note(batch, place.number)
                noted = True
            planned = await self.blanks.plan(room, batch.blanks, place.number)
            done, refused = await self._insist(room, batch, place, planned)
            if done:
                return refused

    async def _place(self, room: Room, if_head: Seq) -> Place | None:
        """None: the head is another. What is known may be old, but then the condition fails."""
        number = if_head // BUCKET
        if room.tip.number < number and not _ends_at(room.tip, number, if_head):
            await self.rooms.tip(room)
        if room.tip.number == number:
            return Place(number, False, room.tip.opened, NOTHING)
        if _ends_at(room.tip, number, if_head):
            return Place(number, True, self.clock.now_ms(), room.tip)
        return None

    async def _insist(
        self, room: Room, batch: Batch, place: Place, planned: Planned
    ) -> tuple[bool, Refused | None]:
        """Send the batch until its outcome is known. (False, _): some row that it blanks was
        blanked, or the bucket opened, by another just now: plan again.
        """
        loop = asyncio.get_running_loop()
        give_up, unsure, pause_s = loop.time() + TRY_S, False, 0.02
        steps = await self._steps(room, batch, place, planned)
        while True:
            rows: list[dict[str, Any]] | None
            try:
                rows = await self.session.conditional(steps)
            except Unknown:
                unsure = True
                rows = await self.outcomes.settled(room, batch, place, give_up)
            if rows == [] or (rows and unsure and await self.outcomes.is_there(room, batch, place)):
                await self._stored(room, batch, place, planned)
                return True, None
            if rows is None:
                if loop.time() >= give_up:
                    raise self.session.guard.unavailable()
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
                pause_s = min(2 * pause_s, 0.5)
                continue
            refused = await self._told(room, batch, place, rows)
            return refused is not None, refused

    async def _steps(self, room: Room, batch: Batch, place: Place, planned: Planned) -> list[Step]:
        steps = [_head_step(batch, place)]
        now_ms = self.clock.now_ms()
        for event in batch.events:
            steps.extend(event_steps(event, place.number, now_ms))
        for claim in batch.claims:
            cid = claim_key(claim.sender_id, claim.client_id)
            steps.append(("claim", (room.id, place.number, cid, claim_value(claim))))
        steps.extend(planned.steps)
        return steps

    async def _stored(self, room: Room, batch: Batch, place: Place, planned: Planned) -> None:
        last = batch.events[-1] if batch.events else None
        if last is not None or place.opens:
            start = Seq(batch.if_head + 1) if place.opens else room.tip.start
            head = batch.if_head if last is None else last.seq
            n = place.before.n if last is None else last.n
            room.saw(Bucket(place.number, head, n, start, place.opened))
        if place.opens and place.number > 0:
            await self.rooms.note_opened(room, place.number)
        if planned.errand is not None:
            await self.blanks.run_errand(room, place.number, planned.errand, planned.elsewhere)

    # ---- what a refusal tells --------------------------------------------------------------------

    async def _told(
        self, room: Room, batch: Batch, place: Place, rows: Sequence[dict[str, Any]]
    ) -> Refused | None:
        """From the refused batch itself; the bucket is read only where the log went on in
        another. None: head and claims are as they should be.
        """
        head = rows[0].get("head")
        taken: dict[tuple[UserId, str], Claim] = {}
        for row in rows:
            if row.get("kind") == CLAIM:
                claim = claim_of(row["cid"], row["meta"])
                taken[claim.sender_id, claim.client_id] = claim
        if place.opens or head is None or head >= (place.number + 1) * BUCKET:
            tip = await self.rooms.tip(room, serial=True)
            if tip.head == batch.if_head and not taken:
                return None  # another opened the bucket, for claims alone
            return await self._refusal(room, batch)
        if head == batch.if_head and not taken:
            return None
        room.saw(replace(room.tip, head=Seq(head)))
        return Refused(Seq(head), taken)

    async def _refusal(self, room: Room, batch: Batch) -> Refused:
        """By reading: head and claims after all that was begun."""
        tip = await self.rooms.tip(room, serial=True)
        keys = [(claim.sender_id, claim.client_id) for claim in batch.claims]
        return Refused(tip.head, await self.claims.find(room, keys, tip))


def _ends_at(tip: Bucket, number: int, if_head: Seq) -> bool:
    """Whether the bucket before `number` is full and its last event is `if_head`."""
    return tip.number == number - 1 and tip.full and tip.head == if_head


def _head_step(batch: Batch, place: Place) -> Step:
    at = (batch.room_id, place.number)
    last = batch.events[-1] if batch.events else None
    if place.opens:
        head, n = (batch.if_head, place.before.n) if last is None else (last.seq, last.n)
        return "open", (head, n, batch.if_head + 1, place.opened, *at)
    if last is None:
        return "hold", (batch.if_head, *at, batch.if_head)
    return "move", (last.seq, last.n, *at, batch.if_head)


def check_order(batch: Batch) -> None:
    """Raises ValueError."""
    if len(batch.events) > LONGEST_BATCH:
        raise ValueError(f"a batch has at most {LONGEST_BATCH} events")
    for seq, event in enumerate(batch.events, batch.if_head + 1):
        if event.seq != seq:
            raise ValueError(f"event {event.seq} stands where {seq} belongs")
