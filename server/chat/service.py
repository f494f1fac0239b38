"""Chat: rooms and their writers, and what clients may ask of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from server.chat.announce import Announcer
from server.chat.commands import Command, Desk, Flush, Refresh, Tell, check_client_id
from server.chat.keeper import Others
from server.chat.messages import Delete, Edit, Send, check_content, check_send
from server.chat.reactions import ChangeReaction
from server.chat.reading import lagging, read_history, sync_rooms
from server.chat.receipts import Receipts
from server.chat.relay.frames import Stored as Told
from server.chat.relay.relay import Relay
from server.chat.relay.teller import Teller
from server.chat.shapes import (
    DeleteMessage,
    EditMessage,
    EventQuery,
    HistoryPage,
    React,
    ReceiptView,
    RoomView,
    SendMessage,
    SetReceipt,
    SetTyping,
    Stored,
    Sync,
    Synced,
)
from server.chat.state import RoomState, check_may_write, member_of
from server.chat.typing import Typing
from server.chat.upkeep import Upkeep
from server.chat.views import head_of, view_memberships, view_room
from server.chat.writer import RoomWriter
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.events import Context
from server.kernel.ids import Ids, RoomId, UserId
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from storage.api import Event, Membership, Store

MAX_WRITERS = 10_000
"""Rooms kept in memory; past it those idle longest go."""
TICK_S = 0.25
IDLE_S = 1.0
"""A room silent this long has its projection brought up to its head."""


@dataclass(slots=True)
class Running:
    writer: RoomWriter
    task: asyncio.Task[Any]


class Chat:
    """The service behind PROTOCOL section 2 and the rooms of section 1.

    Implements `SocketObserver`. `start` begins upkeep, `close` stores what is pending and ends.
    """

    def __init__(
        self,
        store: Store,
        outlet: Outlet,
        *,
        clock: Clock,
        ids: Ids,
        config: Config,
        tasks: TaskOwner,
        relay: Relay | None = None,
        leads: Callable[[], bool] = lambda: True,
        tell: Tell | None = None,
    ) -> None:
        """`relay`: to the other nodes; `outlet` is then its `local`. `leads`: whether this one of
        all nodes does what time brings to logs.
        """
        self.store = store
        self.outlet = outlet
        self.relay = relay
        self._leads = leads
        everybody = outlet if relay is None else relay.wide
        self.clock = clock
        self.ids = ids
        self.config = config
        self._tasks = tasks
        self.desk = Desk(store, ids, tell)
        self._running: dict[RoomId, Running] = {}
        self._dirty: set[RoomId] = set()
        self._typing = Typing(everybody, clock)
        self._receipts = Receipts(store, everybody, clock)
        self.announcer = Announcer(outlet, self._typing, self._updated)
        self.upkeep = Upkeep(store, clock, config.log, self.carry_out)
        if relay is not None:
            relay.attach(
                Teller(self.announcer, self.room, self._absorb), repair=self.flush,
                block_changed=self._follow_block, settled=self._settled, tell=tell,
                submit=self._submit, busy=self._busy,
            )  # fmt: skip

    # ---- commands --------------------------------------------------------------------------------

    def send(self, ctx: Context, cmd: SendMessage) -> asyncio.Future[Stored]:
        """Queue a message; nothing is awaited before it has its place. Raises AppError."""
        check_client_id(cmd.client_id, self.clock.now_ms(), self.config.log.dedup_days)
        check_send(cmd, self.config.limits.text_chars)
        return self.carry_out(RoomId(cmd.room_id), Send(ctx, cmd))

    def edit(self, ctx: Context, cmd: EditMessage) -> asyncio.Future[Stored]:
        check_client_id(cmd.client_id, self.clock.now_ms(), self.config.log.dedup_days)
        check_content(cmd.content, self.config.limits.text_chars)
        return self.carry_out(RoomId(cmd.room_id), Edit(ctx, cmd))

    def delete(self, ctx: Context, cmd: DeleteMessage) -> asyncio.Future[Stored]:
        check_client_id(cmd.client_id, self.clock.now_ms(), self.config.log.dedup_days)
        return self.carry_out(RoomId(cmd.room_id), Delete(ctx, cmd))

    def react(self, ctx: Context, cmd: React, *, add: bool) -> asyncio.Future[Stored]:
        check_client_id(cmd.client_id, self.clock.now_ms(), self.config.log.dedup_days)
        op = "add" if add else "remove"
        return self.carry_out(RoomId(cmd.room_id), ChangeReaction(ctx, cmd, op))  # type: ignore[arg-type]

    def carry_out(self, room_id: RoomId, command: Command) -> asyncio.Future[Any]:
        if self.relay is None or not self.relay.forward.take(room_id, command):
            self._submit(room_id, command)
        return command.future

    def _submit(self, room_id: RoomId, command: Command) -> None:
        self._dirty.add(room_id)
        self._writer(room_id).submit(command)

    async def set_receipt(self, ctx: Context, cmd: SetReceipt) -> ReceiptView:
        state = await self._live_room(RoomId(cmd.room_id))
        return await self._receipts.set(state, ctx.user_id, cmd)

    async def set_typing(self, ctx: Context, cmd: SetTyping) -> None:
        state = await self._live_room(RoomId(cmd.room_id))
        await member_of(self.store, state, ctx.user_id)
        check_may_write(state, ctx.user_id)
        self._typing.set(state.room_id, ctx.user_id, cmd.typing)

    # ---- reading ---------------------------------------------------------------------------------

    async def room(self, room_id: RoomId) -> RoomState:
        """The room as of its head, whichever node appended last. Raises NotFound."""
        state = await self._live_room(room_id)
        if self.relay is None:
            return state
        head = (await self.store.log.heads([room_id])).get(room_id)
        if head is not None and head.head > state.head:
            command = Refresh(_NOBODY)
            self._writer(room_id).submit(command)
            await command.future
        return await self._live_room(room_id)

    async def _live_room(self, room_id: RoomId) -> RoomState:
        """The room as far as this node has heard: milliseconds old, if at all."""
        running = self._running.get(room_id)
        if running is not None and running.writer.state is not None:
            return running.writer.state
        return await self._writer(room_id).ready()

    async def history(self, ctx: Context, room_id: RoomId, query: EventQuery) -> HistoryPage:
        state = await self.room(room_id)
        member = await member_of(self.store, state, ctx.user_id)
        now_ms = self.clock.now_ms()
        return await read_history(self.store, state, member, query, now_ms=now_ms)

    async def sync(self, ctx: Context, cmd: Sync) -> Synced:
        after = RoomId(cmd.after) if isinstance(cmd.after, str) else None
        views = await self.views(ctx.user_id, after=after, limit=501)
        joined = set(await self.store.projections.room_ids_of(ctx.user_id)) if cmd.rooms else set()
        now_ms = self.clock.now_ms()
        return await sync_rooms(
            self.store, views, cmd, viewer=ctx.user_id, joined=joined, now_ms=now_ms
        )

    async def views(
        self,
        user_id: UserId,
        *,
        after: RoomId | None = None,
        limit: int = 500,
        only: Collection[RoomId] | None = None,
    ) -> list[RoomView]:
        """The user's rooms in order of their ids, as he has them at their heads."""
        read = self.store.projections.memberships
        found = await read(user_id, after=after, limit=limit, only=only)
        late = await self._late(found)
        if late:
            await asyncio.gather(*(self.flush(room_id) for room_id in late))
            found = await read(user_id, after=after, limit=limit, only=only)
        return await view_memberships(self.store, found)

    async def _late(self, found: Sequence[Membership]) -> list[RoomId]:
        """Rooms whose projection does not know yet all that their log says."""
        if self.relay is None:
            return lagging(self._states(found), [membership.member for membership in found])
        heads = await self.store.log.heads([membership.room.id for membership in found])
        return [
            m.room.id for m in found if m.room.id in heads and heads[m.room.id].head > m.applied
        ]

    async def view(self, user_id: UserId, room_id: RoomId) -> RoomView:
        """One room; a public one also for those who are not in it. Raises NotFound."""
        state = await self.room(room_id)
        views = await self.views(user_id, only=[room_id])
        if views:
            return views[0]
        if state.row.visibility != "public":
            raise state.stranger()
        count = await self.store.projections.member_count(room_id)
        return view_room(state.row, head_of(state), None, member_count=count)

    async def flush(self, room_id: RoomId) -> None:
        """Bring the room's projection to its head."""
        self._dirty.discard(room_id)
        command = Flush(_NOBODY)
        self._writer(room_id).submit(command)
        await command.future

    # ---- sockets (SocketObserver) ----------------------------------------------------------------

    async def rooms_of(self, ctx: Context) -> Collection[RoomId]:
        if self.relay is not None:
            return await self.relay.users.enter(ctx.user_id)
        return await self.store.projections.room_ids_of(ctx.user_id)

    def opened(self, ctx: Context) -> None:
        """Nothing to do: rooms come with `rooms_of`."""

    def active(self, ctx: Context) -> None:
        """Nothing to do: presence follows this."""

    def closed(self, ctx: Context) -> None:
        """Nothing to do: typing ends by itself."""

    # ---- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the upkeep that time brings."""
        self._tasks.start(self._run(), "upkeep")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()
            if self._leads():
                await self.upkeep.tick()

    def tick(self) -> None:
        """What is due now: typing that ended, receipts that waited, rooms gone silent."""
        self._typing.tick()
        self._receipts.tick()
        now = self.clock.monotonic()
        for room_id in tuple(self._dirty):
            running = self._running.get(room_id)
            if running is None:
                self._dirty.discard(room_id)
            elif running.writer.idle and now - running.writer.used_at >= IDLE_S:
                self._dirty.discard(room_id)
                command = Flush(_NOBODY)
                command.future.add_done_callback(partial(self._flushed, room_id))
                running.writer.submit(command)

    def _flushed(self, room_id: RoomId, done: asyncio.Future[Any]) -> None:
        """A store that could not serve is asked again: members may not know of what it kept."""
        if isinstance(done.exception(), Unavailable):
            self._dirty.add(room_id)

    async def close(self) -> None:
        """Store what projections lag behind and end all writers."""
        rooms = [r for r, running in self._running.items() if running.writer.state is not None]
        await asyncio.gather(*(self.flush(room_id) for room_id in rooms), return_exceptions=True)
        for running in self._running.values():
            running.task.cancel()
        tasks = [running.task for running in self._running.values()]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    def created(self, state: RoomState, events: Sequence[Event]) -> None:
        """A new room: tell its first members."""
        if self.relay is not None:
            self.relay.created(state, events)
        else:
            self.announcer.created(state, events)

    def reader_in(self, user_id: UserId, room: RoomView) -> None:
        """A broadcast room has a new reader: tell him."""
        if self.relay is not None:
            self.relay.reader_in(user_id, RoomId(room.id))
        else:
            self.announcer.came(user_id, room)
            self.outlet.join(user_id, RoomId(room.id))

    def reader_out(self, state: RoomState, user_id: UserId, reason: str) -> None:
        if self.relay is not None:
            self.relay.reader_out(state, user_id, reason)
        else:
            self.announcer.went(state, user_id, reason)

    def block_changed(self, by: UserId, blocked: UserId, on: bool) -> None:
        """Let the direct rooms in memory follow, on all nodes."""
        self._follow_block(by, blocked, on)
        if self.relay is not None:
            self.relay.block_changed(by, blocked, on)

    # ---- what the relay asks ---------------------------------------------------------------------

    def _absorb(self, room_id: RoomId, item: Told) -> None:
        running = self._running.get(room_id)
        if running is not None:
            running.writer.absorb(item)

    def _busy(self, room_id: RoomId) -> bool:
        running = self._running.get(room_id)
        return running is not None and not running.writer.idle

    def _duelled(self, room_id: RoomId) -> None:
        """Another node writes in this room at the same time: one of us goes on alone."""
        assert self.relay is not None
        forward = self.relay.forward
        forward.duelled(room_id)
        writer = self._running[room_id].writer
        for command in writer.give_up_queue():
            if not forward.take(room_id, command, waited=True):
                writer.submit(command)

    def _settled(self, room_id: RoomId) -> bool:
        running = self._running.get(room_id)
        state = None if running is None else running.writer.state
        return running is None or (
            running.writer.idle and state is not None and state.applied == state.head
        )

    def _follow_block(self, by: UserId, blocked: UserId, on: bool) -> None:
        for running in self._running.values():
            state = running.writer.state
            if state is None or state.row.kind != "direct" or by not in state.members:
                continue
            if blocked in state.members and on:
                state.blocked.add(blocked)
            else:
                state.blocked.discard(blocked)

    def _writer(self, room_id: RoomId) -> RoomWriter:
        running = self._running.get(room_id)
        if running is None or running.task.done():
            self._make_place()
            relay = self.relay
            writer = RoomWriter(
                room_id, self.desk, self.clock,
                self.announcer.events if relay is None else relay.stored,
                None if relay is None else Others(relay.marks, self._duelled),
            )  # fmt: skip
            task = self._tasks.start(writer.run(), "room")
            running = self._running[room_id] = Running(writer, task)
        return running.writer

    def _make_place(self) -> None:
        """Let go of the rooms opened longest ago that have nothing to do."""
        if len(self._running) < MAX_WRITERS:
            return
        for room_id, running in list(self._running.items())[: MAX_WRITERS // 10]:
            state = running.writer.state
            if running.writer.idle and (state is None or state.applied == state.head):
                running.task.cancel()
                del self._running[room_id]

    def _states(self, found: Sequence[Membership]) -> dict[RoomId, RoomState]:
        states = {}
        for membership in found:
            running = self._running.get(membership.room.id)
            if running is not None and running.writer.state is not None:
                states[membership.room.id] = running.writer.state
        return states

    # ---- room:updated ----------------------------------------------------------------------------

    def _updated(self, room_id: RoomId, user_id: UserId | None) -> None:
        self._tasks.start(self._tell_updated(room_id, user_id), "room_updated")

    async def _tell_updated(self, room_id: RoomId, user_id: UserId | None) -> None:
        """`room:updated` with each one's own view, to those who are connected."""
        if user_id is not None:
            members = [user_id]
        else:
            members = [m.user_id for m in await self.store.projections.members(room_id)]
        while members:
            for member_id in members:
                if self.outlet.online(member_id):
                    for view in await self.views(member_id, only=[room_id]):
                        self.outlet.to_users([member_id], "room:updated", {"room": view})
            if user_id is not None:
                return
            last = members[-1]
            page = await self.store.projections.members(room_id, after=last)
            members = [m.user_id for m in page]


_NOBODY = Context(UserId(""), "", "")  # type: ignore[arg-type]
