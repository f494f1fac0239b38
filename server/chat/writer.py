"""The writer of one room: takes commands in order, groups what waits, appends, answers, announces.

A group is what arrived while the append before it was under way; there is no timer. A plain message
reaches the queue without waiting for anything, so commands of one socket keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.chat.commands import Command, Desk, Drafter, Flush, Plan, Refresh, stored_answer
from server.chat.fold import advance, fold
from server.chat.messages import Send
from server.chat.state import RoomState, load_state, member_of
from server.kernel.clock import Clock
from server.kernel.errors import AppError, Conflict, Unavailable
from server.kernel.ids import RoomId, Seq, UserId
from server.kernel.logs import get_logger
from storage.api import Batch, Change, Claim, Event, PutReceipt, Refused

if TYPE_CHECKING:
    from server.chat.relay.dirty import DirtyMarks
    from server.chat.relay.frames import Stored

MAX_EVENTS = 100
MAX_BYTES = 262_144
"""A group is at most this much: bounds of one append (DESIGN section 3)."""
MAX_LAG = 64
"""Events that a projection may lag behind its log: what a load after a crash folds again."""

MAX_FOREIGN = 1_000
"""Events of other nodes that may wait for a command to end; past it the room is read anew."""
RECHECKS = 3

log = get_logger(__name__)

Announce = Callable[[RoomState, Sequence[Event]], None]


@dataclass(slots=True)
class Group:
    """Plain commands that go into one append."""

    commands: list[Send]
    events: list[Event]
    claims: list[Claim]
    again: list[Command]
    """Second uses of a client id of this group: they wait for the first."""
    refused: list[tuple[Command, AppError]]


@dataclass(frozen=True, slots=True)
class Others:
    """What a writer has to do with those of other nodes. `duelled`: told that one was faster."""

    marks: DirtyMarks
    duelled: Callable[[RoomId], None]


class RoomWriter:
    """See the module. `run` is its task; it ends only by cancellation or a fault of ours."""

    def __init__(
        self,
        room_id: RoomId,
        desk: Desk,
        clock: Clock,
        announce: Announce,
        others: Others | None = None,
    ) -> None:
        self.room_id = room_id
        self.state: RoomState | None = None
        self.used_at = clock.monotonic()
        self._desk = desk
        self._clock = clock
        self._announce = announce
        self._queue: deque[Command] = deque()
        self._taken: list[Command] = []
        self._wake: asyncio.Future[None] | None = None
        self._loading = asyncio.Lock()
        self._told: Seq | None = None
        self._others = others
        """None: no other process writes in this store."""
        self._unsure = others is None
        """An append of ours may have been stored without anybody having told it."""
        self._foreign: deque[Stored] = deque()

    @property
    def idle(self) -> bool:
        return not self._queue and not self._taken

    def submit(self, command: Command) -> None:
        self._queue.append(command)
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def ready(self) -> RoomState:
        """The state, loaded if need be. Raises NotFound: no such room."""
        async with self._loading:
            if self.state is None:
                state = await load_state(self._desk.store, self.room_id)
                await self._flush(state)
                await self._tell_missed(state)
                self.state = state
            return self.state

    async def _tell_missed(self, state: RoomState) -> None:
        """Announce what was stored, as it turns out, by an append whose outcome was unknown."""
        told = self._told if self._unsure else None
        self._told = state.head
        self._unsure = self._others is None
        while told is not None and told < state.head:
            end = Seq(state.head + 1)
            log_read = self._desk.store.log.read
            events, _ = await log_read(self.room_id, after=told, before=end, limit=MAX_EVENTS)
            if not events:
                return
            self._announce(state, events)
            told = events[-1].seq

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                if not self._queue:
                    self._wake = loop.create_future()
                    await self._wake
                self.used_at = self._clock.monotonic()
                await self._turn()
        finally:
            lost = Unavailable("The room stopped under way. Please send it again.")
            for command in (*self._taken, *self._queue):
                command.fail(lost)
            self._queue.clear()

    async def _turn(self) -> None:
        try:
            state = self.state or await self.ready()
            if self._foreign:
                self._take_in_waiting(state)
                state = self.state or await self.ready()
            if self._queue[0].plain:
                await self._plain(state)
            else:
                self._taken = [self._queue.popleft()]
                await self._exclusive(state, self._taken[0])
        except AppError as error:  # the room is not there, or the store cannot serve
            self.state = None
            self._unsure = True
            for command in self._taken or self._queue:
                command.fail(error)
            if not self._taken:
                self._queue.clear()
        self._taken = []

    # ---- plain messages --------------------------------------------------------------------------

    async def _plain(self, state: RoomState) -> None:
        group = self._gather(state)
        if group.events:
            batch = Batch(self.room_id, state.head, tuple(group.events), tuple(group.claims))
            refused = await self._store(state, batch, ())
            if refused is None:
                for command, event in zip(group.commands, group.events, strict=True):
                    command.succeed(stored_answer(event))
                self._announce_soon(state, group.events)
                self._queue.extendleft(reversed(group.again))
            else:
                await self._settle(state, refused, group)
        for refusal in group.refused:
            await self._refuse(self.state or state, *refusal)

    def _gather(self, state: RoomState) -> Group:
        group = Group([], [], [], [], [])
        drafter = Drafter(state, self._desk.ids, self._clock.now_ms())
        keys: set[tuple[UserId, str]] = set()
        queue, size, taken = self._queue, 0, self._taken
        while queue and len(group.events) < MAX_EVENTS and size < MAX_BYTES:
            command = queue[0]
            if not isinstance(command, Send) or not command.plain:
                break
            queue.popleft()
            taken.append(command)
            key = (command.by.user_id, command.cmd.client_id)
            if key in keys:
                group.again.append(command)
                continue
            try:
                event = command.plan_now(state, drafter)
            except AppError as error:
                group.refused.append((command, error))
                continue
            if event is None:  # must read first: alone, in its turn
                queue.appendleft(command)
                taken.pop()
                break
            keys.add(key)
            size += command.size
            group.commands.append(command)
            group.events.append(event)
            group.claims.append(Claim(*key, event.seq, command.digest, event.at))
        return group

    async def _settle(self, state: RoomState, refused: Refused, group: Group) -> None:
        """The store refused the group: answer those who were here before, plan the rest again."""
        rest: list[Command] = []
        for command in group.commands:
            claim = refused.taken.get((command.by.user_id, command.cmd.client_id))
            if claim is None:
                rest.append(command)
            else:
                await self._repeat(command, claim)
        self._queue.extendleft(reversed([*rest, *group.again]))
        if refused.head != state.head:
            await self._lose(state)

    async def _lose(self, state: RoomState) -> None:
        """Another was faster."""
        await self._follow(state)
        if self._others is not None:
            self._others.duelled(self.room_id)

    def give_up_queue(self) -> list[Command]:
        """What waits, in order; the caller sees to it."""
        commands = list(self._queue)
        self._queue.clear()
        return commands

    # ---- commands that read first ----------------------------------------------------------------

    async def _exclusive(self, state: RoomState, command: Command) -> None:
        if isinstance(command, Flush):
            await self._flush(state)
            command.succeed(None)
            return
        if isinstance(command, Refresh):
            await self._follow(state)
            command.succeed(None)
            return
        try:
            plan = await command.plan(state, self._desk, self._clock.now_ms())
        except AppError as error:
            await self._refuse(state, command, error)
            return
        if plan.events or plan.claim or plan.blanks:
            refused = await self._store(state, self._batch(state, command, plan), plan.extra)
            if refused is not None:
                claim = refused.taken.get((command.by.user_id, command.client_id or ""))
                if claim is not None:
                    await self._repeat(command, claim)
                    return
                self._queue.appendleft(command)
                await self._lose(state)
                return
        first = plan.events[0] if plan.events else plan.claim
        answer = plan.answer
        if answer is None and first is not None:
            answer = stored_answer(first)
        command.succeed(answer)
        self._announce_soon(state, plan.events)

    def _batch(self, state: RoomState, command: Command, plan: Plan) -> Batch:
        claims: tuple[Claim, ...] = ()
        first = plan.events[0] if plan.events else plan.claim
        if command.client_id is not None and first is not None:
            at = self._clock.now_ms()
            claim = Claim(command.by.user_id, command.client_id, first.seq, command.digest, at)
            claims = (claim,)
        return Batch(self.room_id, state.head, plan.events, claims, plan.blanks)

    # ---- the store -------------------------------------------------------------------------------

    async def _store(
        self, state: RoomState, batch: Batch, extra: tuple[Change, ...]
    ) -> Refused | None:
        """Append and, where it matters now, apply; then let memory follow."""
        if self._others is not None:
            marked = self._others.marks.touch(self.room_id, state.head)
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
        state.head = self._told = head
        if batch.events:
            state.n = batch.events[-1].n
        state.take([change for _, change in changes])
        if not apply_now or not self._desk.store.joint:
            state.pending.extend(changes)
            if apply_now:
                state.pending.extend(_at(head, extra))
                await self._flush(state)
        return None

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

    async def _flush(self, state: RoomState) -> None:
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
        if not self._taken and not self._foreign:
            if not self._take_in(state, item.event):
                self.state = None
        elif len(self._foreign) < MAX_FOREIGN:
            self._foreign.append(item)

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

    async def _follow(self, state: RoomState) -> None:
        """The log is ahead of the room in memory: read the difference."""
        self._foreign.clear()
        if self._others is None or self._unsure:
            self.state = None
            return
        more = True
        while more:
            read = self._desk.store.log.read
            events, more = await read(self.room_id, after=state.head, limit=MAX_EVENTS)
            if not all(self._take_in(state, event) for event in events):
                self.state = None
                return

    async def _is_behind(self, state: RoomState) -> bool:
        """Whether other nodes have moved the room on; then memory follows."""
        head = (await self._desk.store.log.heads([self.room_id])).get(self.room_id)
        if head is None or head.head <= state.head:
            return False
        await self._follow(state)
        return True

    # ---- repeats and refusals --------------------------------------------------------------------

    async def _refuse(self, state: RoomState, command: Command, error: AppError) -> None:
        """A refused command of a member may be the repeat of one that was acknowledged, or be
        right in a room that has moved on elsewhere.
        """
        if self._others is not None and command.rechecks < RECHECKS:
            command.rechecks += 1
            if await self._is_behind(state):
                self._queue.appendleft(command)
                return
        if command.client_id is not None:
            key = (command.by.user_id, command.client_id)
            try:
                await member_of(self._desk.store, state, command.by.user_id)
            except AppError:
                command.fail(error)
                return
            claim = (await self._desk.store.log.claims(self.room_id, [key])).get(key)
            if claim is not None:
                await self._repeat(command, claim)
                return
        command.fail(error)

    async def _repeat(self, command: Command, claim: Claim) -> None:
        if claim.digest != command.digest:
            text = "This client_id was used for another command: make a new one."
            command.fail(Conflict(text, field="client_id"))
            return
        event = (await self._desk.store.log.rows(self.room_id, [claim.seq])).get(claim.seq)
        if event is None:
            command.fail(Conflict("This command was carried out long ago.", field="client_id"))
            return
        command.succeed(stored_answer(event))

    def _announce_soon(self, state: RoomState, events: Sequence[Event]) -> None:
        """After the futures: the loop then wakes the handlers first, so acks precede events."""
        if events:
            asyncio.get_running_loop().call_soon(self._announce, state, events)


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
