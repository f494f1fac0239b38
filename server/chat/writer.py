"""The writer of one room: takes commands in order, groups what waits, appends, answers, announces.

A group is what arrived while the append before it was under way; there is no timer. A plain message
reaches the queue without waiting for anything, so commands of one socket keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.chat.commands import Command, Desk, Drafter, Flush, Plan, Refresh, stored_answer
from server.chat.keeper import Announce, Others, RoomKeeper
from server.chat.messages import Send
from server.chat.state import RoomState, member_of
from server.kernel.clock import Clock
from server.kernel.errors import AppError, Conflict, Unavailable
from server.kernel.ids import RoomId, UserId
from storage.api import Batch, Claim, Event, Refused

if TYPE_CHECKING:
    from server.chat.relay.frames import Stored

MAX_EVENTS = 100
MAX_BYTES = 262_144
"""A group is at most this much: bounds of one append (DESIGN section 3)."""
RECHECKS = 3


@dataclass(slots=True)
class Group:
    """Plain commands that go into one append."""

    commands: list[Send]
    events: list[Event]
    claims: list[Claim]
    again: list[Command]
    """Second uses of a client id of this group: they wait for the first."""
    refused: list[tuple[Command, AppError]]


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
        self.used_at = clock.monotonic()
        self._keeper = RoomKeeper(room_id, desk, announce, others)
        self._desk = desk
        self._clock = clock
        self._announce = announce
        self._queue: deque[Command] = deque()
        self._taken: list[Command] = []
        self._wake: asyncio.Future[None] | None = None

    @property
    def state(self) -> RoomState | None:
        """The room as of its head, as far as this node knows; None: not loaded."""
        return self._keeper.state

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
        return await self._keeper.ready()

    def absorb(self, item: Stored) -> None:
        """What another node stored, in the order of the log; the room in memory follows it."""
        self._keeper.absorb(item)

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
            state = await self._keeper.current()
            self._keeper.busy = True
            if self._queue[0].plain:
                await self._plain(state)
            else:
                self._taken = [self._queue.popleft()]
                await self._exclusive(state, self._taken[0])
        except AppError as error:  # the room is not there, or the store cannot serve
            self._keeper.forget()
            for command in self._taken or self._queue:
                command.fail(error)
            if not self._taken:
                self._queue.clear()
        self._taken = []
        self._keeper.busy = False

    # ---- plain messages --------------------------------------------------------------------------

    async def _plain(self, state: RoomState) -> None:
        group = self._gather(state)
        if group.events:
            batch = Batch(self.room_id, state.head, tuple(group.events), tuple(group.claims))
            refused = await self._keeper.store(state, batch, ())
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
        await self._keeper.follow(state)
        if self._keeper.others is not None:
            self._keeper.others.duelled(self.room_id)

    def give_up_queue(self) -> list[Command]:
        """What waits, in order; the caller sees to it."""
        commands = list(self._queue)
        self._queue.clear()
        return commands

    # ---- commands that read first ----------------------------------------------------------------

    async def _exclusive(self, state: RoomState, command: Command) -> None:
        if isinstance(command, Flush):
            await self._keeper.flush(state)
            command.succeed(None)
            return
        if isinstance(command, Refresh):
            await self._keeper.follow(state)
            command.succeed(None)
            return
        try:
            plan = await command.plan(state, self._desk, self._clock.now_ms())
        except AppError as error:
            await self._refuse(state, command, error)
            return
        if plan.events or plan.claim or plan.blanks:
            refused = await self._keeper.store(state, self._batch(state, command, plan), plan.extra)
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

    # ---- repeats and refusals --------------------------------------------------------------------

    async def _refuse(self, state: RoomState, command: Command, error: AppError) -> None:
        """A refused command of a member may be the repeat of one that was acknowledged, or be
        right in a room that has moved on elsewhere.
        """
        if self._keeper.others is not None and command.rechecks < RECHECKS:
            command.rechecks += 1
            if await self._keeper.is_behind(state):
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
