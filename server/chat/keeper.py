"""A room in memory and its store: loaded, appended to, applied, following what others append."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.chat.commands import Desk
from server.chat.fold import advance, fold
from server.chat.state import RoomState, load_state
from server.kernel.errors import Unavailable
from server.kernel.ids import RoomId, Seq
from server.kernel.logs import get_logger
from storage.api import Batch, Change, Event, PutReceipt, Refused

if TYPE_CHECKING:
    from server.chat.relay.dirty import DirtyMarks
    from server.chat.relay.frames import Stored

PAGE = 100
MAX_LAG = 64
"""Events that a projection may lag behind its log: what a load after a crash folds again."""
MAX_FOREIGN = 1_000
"""Events of other nodes that may wait for a command to end; past it the room is read anew."""

log = get_logger(__name__)

Announce = Callable[[RoomState, Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Others:
    """What a writer has to do with those of other nodes. `duelled`: told that one was faster."""

    marks: DirtyMarks
    duelled: Callable[[RoomId], None]


class RoomKeeper:
    """`state` is None until it is loaded, and again when it must be loaded anew. While `busy` a
    command of this node is being carried out, and what others append waits.
    """

    def __init__(
        self, room_id: RoomId, desk: Desk, announce: Announce, others: Others | None
    ) -> None:
        self.room_id = room_id
        self.state: RoomState | None = None
        self.busy = False
        self.others = others
        """None: no other process writes in this store."""
        self._desk = desk
        self._announce = announce
        self._loading = asyncio.Lock()
        self._told: Seq | None = None
        self._unsure = others is None
        """An append of ours may have been stored without anybody having told it."""
        self._foreign: deque[Stored] = deque()

    # ---- loading ---------------------------------------------------------------------------------

    async def ready(self) -> RoomState:
        """The state, loaded if need be. Raises NotFound: no such room."""
        async with self._loading:
            if self.state is None:
                state = await load_state(self._desk.store, self.room_id)
                await self.flush(state)
                await self._tell_missed(state)
                self.state = state
            return self.state

    async def _tell_missed(self, state: RoomState) -> None:
        """Announce what was stored, as it turns out, by an append whose outcome was unknown."""
        told = self._told if self._unsure else None
        self._told = state.head
        self._unsure = self.others is None
        while told is not None and told < state.head:
            end = Seq(state.head + 1)
            log_read = self._desk.store.log.read
            events, _ = await log_read(self.room_id, after=told, before=end, limit=PAGE)
            if not events:
                return
            self._announce(state, events)
            told = events[-1].seq

    def forget(self) -> None:
        """The store failed under a command: nobody knows what of it was done."""
        self.state = None
        self._unsure = True

    # ---- the store -------------------------------------------------------------------------------

    async def store(
        self, state: RoomState, batch: Batch, extra: tuple[Change, ...]
    ) -> Refused | None:
        """Append and, where it matters now, apply; then let memory follow."""
        if self.others is not None:
            marked = self.others.marks.touch(self.room_id, state.head)
            if marked is not None:
                await marked
        changes = _fold_all(state, batch.events)
        head = batch.events[-1].seq if batch.events else state.head
        urgent = extra or any(type(change) is not PutReceipt for _, change in changes)
        apply_now = bool(urgent) or head - state.applied >= MAX_LAG
        if apply_now and self._desk.store.joint:
            refused = await self._append_and_apply(
                state, batch, head, [*changes, *_at(head, extra)]
            )
        else:
            refused = await self._append(batch)
            if refused is None and self._desk.tell is not None and not self._desk.store.joint:
                self._desk.tell(batch.events, None)
        if refused is not None:
            return refused
        state.head = head
        if batch.events:
            state.n = batch.events[-1].n
        state.take([change for _, change in changes])
        if not apply_now or not self._desk.store.joint:
            state.pending.extend(changes)
            state.pending.extend(_at(head, extra))
            if apply_now:
                await self._flush_after(state, urgent=bool(urgent))
        self._told = head
        return None

    async def _flush_after(self, state: RoomState, *, urgent: bool) -> None:
        """Of an append that is stored. What only moves marks may wait for a better time."""
        try:
            await self.flush(state)
        except Unavailable:
            if urgent or len(state.pending) > 4 * MAX_LAG:
                raise

    def _append(self, batch: Batch) -> Awaitable[Refused | None]:
        appending = self._desk.store.log.append(batch)
        if self._desk.tell is not None and self._desk.store.joint:
            self._desk.tell(batch.events, asyncio.ensure_future(appending))
        return appending

    async def _append_and_apply(
        self, state: RoomState, batch: Batch, head: Seq, changes: list[tuple[Seq, Change]]
    ) -> Refused | None:
        """Both calls in one loop turn: an embedded store makes them one transaction."""
        store = self._desk.store
        append = self._append(batch)
        apply = store.projections.apply(
            self.room_id,
            from_seq=state.applied,
            to_seq=head,
            changes=[change for _, change in (*state.pending, *changes)],
        )
        refused, applied = await asyncio.gather(append, apply, return_exceptions=True)
        if refused is not None:
            if isinstance(refused, BaseException):
                raise refused
            return refused
        state.pending.clear()
        state.applied = head
        if applied != head:
            log.warning("room.projection_behind", room_id=self.room_id, head=head)
            self.state = None  # loads and folds again before the next command
        return None

    async def flush(self, state: RoomState) -> None:
        """Apply what is folded and not applied yet; another node may have applied a part of it."""
        while state.applied < state.head or state.pending:
            applied = await self._desk.store.projections.apply(
                self.room_id,
                from_seq=state.applied,
                to_seq=state.head,
                changes=[change for _, change in state.pending],
            )
            if applied < state.head and applied <= state.applied:  # rebuilt under us: load anew
                self.state = None
                return
            state.pending = [pair for pair in state.pending if pair[0] > applied]
            state.applied = min(applied, state.head)

    # ---- other writers ---------------------------------------------------------------------------

    def absorb(self, item: Stored) -> None:
        """What another node stored, in the order of the log; the room in memory follows it."""
        state = self.state
        if state is None or item.seq <= state.head:
            return
        if not self.busy and not self._foreign:
            if not self._take_in(state, item.event):
                self.state = None
        elif len(self._foreign) < MAX_FOREIGN:
            self._foreign.append(item)

    async def current(self) -> RoomState:
        """The state with all that was heard in. Raises NotFound."""
        state = self.state or await self.ready()
        if self._foreign:
            self._take_in_waiting(state)
        return self.state or await self.ready()

    def _take_in_waiting(self, state: RoomState) -> None:
        for item in self._foreign:
            if item.seq > state.head and not self._take_in(state, item.event):
                self.state = None
                break
        self._foreign.clear()

    def _take_in(self, state: RoomState, event: Event) -> bool:
        """False: something was missed, or others apply and much is pending: load anew."""
        if event.seq != state.head + 1 or len(state.pending) > 4 * MAX_LAG:
            return False
        changes = _fold_all(state, [event])
        state.head = self._told = event.seq
        state.n = event.n
        state.take([change for _, change in changes])
        state.pending.extend(changes)
        return True

    async def follow(self, state: RoomState) -> None:
        """The log is ahead of the room in memory: read the difference."""
        self._foreign.clear()
        if self.others is None or self._unsure:
            self.state = None
            return
        more = True
        while more:
            read = self._desk.store.log.read
            events, more = await read(self.room_id, after=state.head, limit=PAGE)
            if not all(self._take_in(state, event) for event in events):
                self.state = None
                return

    async def is_behind(self, state: RoomState) -> bool:
        """Whether other nodes have moved the room on; then memory follows."""
        head = (await self._desk.store.log.heads([self.room_id])).get(self.room_id)
        if head is None or head.head <= state.head:
            return False
        await self.follow(state)
        return True


def _at(seq: Seq, changes: Sequence[Change]) -> list[tuple[Seq, Change]]:
    return [(seq, change) for change in changes]


def _fold_all(state: RoomState, events: Sequence[Event]) -> list[tuple[Seq, Change]]:
    """The changes of events that follow each other, each folded on what those before it left."""
    row, members = state.row, state.members
    if len(events) > 1 and any(event.type in ("member", "room") for event in events):
        members = dict(members)
    changes: list[tuple[Seq, Change]] = []
    for event in events:
        folded = fold(row, members, event)
        if members is not state.members:
            for change in folded:
                row = advance(members, change) or row
        changes.extend([(event.seq, change) for change in folded])
    return changes
