"""Chat: rooms and their writers, and what clients may ask of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from server.chat.announce import Announcer
from server.chat.commands import Command, Desk, Tell, check_client_id
from server.chat.messages import Delete, Edit, Send, check_content, check_send
from server.chat.reactions import ChangeReaction
from server.chat.reading import lagging, read_history, sync_rooms
from server.chat.receipts import Receipts
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
from server.chat.writers import Writers
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.events import Context
from server.kernel.ids import Ids, RoomId, UserId
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from storage.api import Event, LogHead, Membership, Store

TICK_S = 0.25
SYNCS_AT_ONCE = 16
"""A sync is some reads of the store; more at once only wait there."""


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
        facts_kept: Callable[[], bool] = lambda: False,
    ) -> None:
        """`relay`: to the other nodes; `outlet` is then its `local`. `leads`: whether this one of
        all nodes does what time brings to logs. `tell`: facts for workers; `facts_kept`: some of
        them are not safe yet.
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
        self._typing = Typing(everybody, clock)
        self._receipts = Receipts(store, everybody, clock)
        self.announcer = Announcer(outlet, self._typing, self._updated)
        self._syncing = asyncio.Semaphore(SYNCS_AT_ONCE)
        self.upkeep = Upkeep(store, clock, config.log, self.carry_out)
        stored = self.announcer.events if relay is None else relay.stored
        self.writers = Writers(self.desk, stored, clock=clock, tasks=tasks, relay=relay)
        if relay is not None:
            relay.attach(
                Teller(self.announcer, self.room, self.writers.absorb), self.writers,
                block_changed=self.writers.block_changed, tell=tell, facts_kept=facts_kept,
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
            self.writers.submit(room_id, command)
        return command.future

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
            await self.writers.refresh(room_id)
        return await self._live_room(room_id)

    async def _live_room(self, room_id: RoomId) -> RoomState:
        """The room as far as this node has heard: milliseconds old, if at all."""
        return self.writers.state(room_id) or await self.writers.ready(room_id)

    async def history(self, ctx: Context, room_id: RoomId, query: EventQuery) -> HistoryPage:
        state = await self.room(room_id)
        member = await member_of(self.store, state, ctx.user_id)
        now_ms = self.clock.now_ms()
        return await read_history(self.store, state, member, query, now_ms=now_ms)

    async def sync(self, ctx: Context, cmd: Sync) -> Synced:
        """Few at once, in the order they come: thousands that resume together must not keep each
        other, and everybody else, from the store.
        """
        async with self._syncing:
            return await self._sync(ctx, cmd)

    async def _sync(self, ctx: Context, cmd: Sync) -> Synced:
        after = RoomId(cmd.after) if isinstance(cmd.after, str) else None
        views = await self.views(ctx.user_id, after=after, limit=501)
        joined = {RoomId(view.id) for view in views}
        if cmd.rooms.keys() - joined and (after is not None or len(views) > 500):
            joined = set(await self.store.projections.room_ids_of(ctx.user_id))
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
        heads = await self.store.log.heads([membership.room.id for membership in found])
        late = self._late(found, heads)
        if late:
            await asyncio.gather(*(self.flush(room_id) for room_id in late))
            found = await read(user_id, after=after, limit=limit, only=only)
            heads = await self.store.log.heads([membership.room.id for membership in found])
        return await view_memberships(self.store, found, heads)

    def _late(self, found: Sequence[Membership], heads: Mapping[RoomId, LogHead]) -> list[RoomId]:
        """Rooms whose projection does not know yet all that their log says."""
        if self.relay is None:
            states = {m.room.id: self.writers.state(m.room.id) for m in found}
            return lagging(states, [membership.member for membership in found])
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
        await self.writers.flush(room_id)

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
        self.writers.tick()

    async def close(self) -> None:
        """Store what projections lag behind and end all writers."""
        await self.writers.close()

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
        self.writers.block_changed(by, blocked, on)
        if self.relay is not None:
            self.relay.block_changed(by, blocked, on)

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
