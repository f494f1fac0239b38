"""Rooms over HTTP: made, listed, changed, their members, and whom one blocks."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import UnsetType

from server.chat.commands import Drafter
from server.chat.fold import advance, fold
from server.chat.members import (
    Add,
    ChangeRole,
    MembersChanged,
    Remove,
    check_rooms_of,
    check_users_known,
)
from server.chat.receipts import MAX_MEMBERS
from server.chat.service import Chat
from server.chat.settings import ChangeSettings, check_new_room, first_events, first_settings
from server.chat.shapes import (
    AddMembers,
    MemberQuery,
    Members,
    MemberView,
    NewRoom,
    PatchRoom,
    RoomQuery,
    Rooms,
    RoomView,
)
from server.chat.state import RoomState, member_of
from server.chat.views import head_of, show_user, view_room
from server.kernel.errors import Forbidden, Invalid, TooLarge
from server.kernel.events import Context
from server.kernel.ids import LogId, RoomId, Seq, UserId
from storage.api import Batch, Change, LogHead, MemberRow, Role, RoomRow, UserRow


class RoomDesk:
    """What the routes of rooms call."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._store = chat.store

    async def create(self, ctx: Context, cmd: NewRoom) -> tuple[RoomView, bool]:
        """The new room, or the direct room the two have; whether it is new. Raises AppError."""
        check_new_room(cmd, ctx.user_id)
        asked = dict.fromkeys(UserId(user_id) for user_id in cmd.member_ids)
        others = tuple(user_id for user_id in asked if user_id != ctx.user_id)
        check_users_known(others, await self._store.accounts.users(others), "member_ids")
        if cmd.kind != "direct":
            await self._check_sizes(ctx, others)
            return await self._make(ctx, cmd, self._new_room_id(), others), True
        if await self._store.accounts.blocked(others[0], ctx.user_id):
            raise Forbidden("This person does not take messages from you.", field="member_ids")
        room_id = await self._store.projections.claim_direct(
            ctx.user_id, others[0], self._new_room_id()
        )
        if not await self._exists(room_id):
            await self._check_sizes(ctx, others)
            return await self._make(ctx, cmd, room_id, others), True
        return await self._chat.view(ctx.user_id, room_id), False

    async def list_mine(self, ctx: Context, query: RoomQuery) -> Rooms:
        if not isinstance(query.visibility, UnsetType):
            return await self._list_public(ctx, query)
        if not isinstance(query.query, UnsetType):
            raise Invalid("query needs visibility=public.", field="query")
        after = None if isinstance(query.after, UnsetType) else RoomId(query.after)
        views = await self._chat.views(ctx.user_id, after=after, limit=query.limit + 1)
        return _page(views, query.limit)

    async def change(self, ctx: Context, room_id: RoomId, cmd: PatchRoom) -> RoomView:
        await self._chat.carry_out(room_id, ChangeSettings(ctx, cmd))
        return await self._chat.view(ctx.user_id, room_id)

    async def members(self, ctx: Context, room_id: RoomId, query: MemberQuery) -> Members:
        state = await self._chat.room(room_id)
        await member_of(self._store, state, ctx.user_id)
        after = None if isinstance(query.after, UnsetType) else UserId(query.after)
        rows = await self._store.projections.members(room_id, after=after, limit=query.limit + 1)
        page = rows[: query.limit]
        users = await self._store.accounts.users([row.user_id for row in page])
        told = not state.broadcast and len(state.members) <= MAX_MEMBERS
        members = [
            show_member(row, users[row.user_id], marks=told) for row in page if row.user_id in users
        ]
        if len(rows) <= query.limit:
            return Members(members)
        return Members(members, page[-1].user_id)

    async def add(self, ctx: Context, room_id: RoomId, cmd: AddMembers) -> list[str]:
        limits = self._chat.config.limits
        command = Add(ctx, cmd, max_members=limits.group_members, max_rooms=limits.rooms_per_user)
        done: MembersChanged = await self._chat.carry_out(room_id, command)
        await self._follow_readers(room_id, done)
        return list(done.added)

    async def set_role(self, ctx: Context, room_id: RoomId, user_id: UserId, role: Role) -> None:
        done = await self._chat.carry_out(room_id, ChangeRole(ctx, user_id, role))
        await self._follow_readers(room_id, done, silent=True)

    async def remove(self, ctx: Context, room_id: RoomId, user_id: UserId) -> None:
        done = await self._chat.carry_out(room_id, Remove(ctx, user_id))
        await self._follow_readers(room_id, done)

    async def block(self, ctx: Context, user_id: UserId, on: bool) -> None:
        if user_id == ctx.user_id:
            raise Invalid("Nobody blocks himself.", field="user_id")
        check_users_known((user_id,), await self._store.accounts.users([user_id]), "user_id")
        await self._store.accounts.set_block(ctx.user_id, user_id, on)
        self._chat.block_changed(ctx.user_id, user_id, on)

    # ---- making ----------------------------------------------------------------------------------

    def _new_room_id(self) -> RoomId:
        return RoomId(self._chat.ids.new(self._chat.clock.now_ms()))

    async def _exists(self, room_id: RoomId) -> bool:
        head = (await self._store.log.heads([room_id])).get(room_id)
        return head is not None and head.head > 0

    async def _check_sizes(self, ctx: Context, others: tuple[UserId, ...]) -> None:
        limits = self._chat.config.limits
        if len(others) + 1 > limits.group_members:
            text = "The room would have too many members."
            raise TooLarge(text, field="member_ids", data={"group_members": limits.group_members})
        for user_id in (ctx.user_id, *others):
            await check_rooms_of(self._chat.desk, user_id, limits.rooms_per_user)

    async def _make(
        self, ctx: Context, cmd: NewRoom, room_id: RoomId, others: tuple[UserId, ...]
    ) -> RoomView:
        now_ms = self._chat.clock.now_ms()
        await self._store.log.create(room_id, LogId(self._chat.ids.new(now_ms)))
        head = (await self._store.log.heads([room_id]))[room_id]
        state = _empty(room_id, head, cmd, now_ms)
        settings = first_settings(cmd)
        events = first_events(Drafter(state, self._chat.ids, now_ms), ctx, settings, others)
        changes: list[Change] = []
        row: RoomRow | None = None
        for event in events:
            folded = fold(row, state.members, event)
            for change in folded:
                row = advance(state.members, change) or row
            changes.extend(folded)
        assert row is not None
        state.row, state.head = row, events[-1].seq
        if not await self._store_new(Batch(room_id, Seq(0), events), changes):
            return await self._chat.view(ctx.user_id, room_id)
        self._chat.created(state, events)
        if cmd.kind == "broadcast" and others:
            rows = [_reader(state, user_id, now_ms) for user_id in others]
            await self._follow_readers(room_id, MembersChanged(readers_in=tuple(rows)))
        return await self._chat.view(ctx.user_id, room_id)

    async def _store_new(self, batch: Batch, changes: list[Change]) -> bool:
        """False: another made the direct room in this moment."""
        room_id, head = batch.room_id, batch.events[-1].seq
        apply = self._store.projections.apply
        if self._store.joint:
            appending = asyncio.ensure_future(self._store.log.append(batch))
            if self._chat.desk.tell is not None:
                self._chat.desk.tell(batch.events, appending)
            applying = apply(room_id, from_seq=Seq(0), to_seq=head, changes=changes)
            refused, _ = await asyncio.gather(appending, applying)
            return refused is None
        if self._chat.relay is not None:
            marked = self._chat.relay.marks.touch(room_id, Seq(0))
            if marked is not None:
                await marked
        if await self._store.log.append(batch) is not None:
            return False
        if self._chat.desk.tell is not None:
            self._chat.desk.tell(batch.events, None)
        await apply(room_id, from_seq=Seq(0), to_seq=head, changes=changes)
        return True

    async def _follow_readers(
        self, room_id: RoomId, done: MembersChanged, *, silent: bool = False
    ) -> None:
        """Subscribe and unsubscribe a broadcast room's readers, and let them know."""
        if not (done.readers_in or done.readers_out):
            return
        state = await self._chat.room(room_id)
        came = [row for row in done.readers_in if await self._store.projections.subscribe(row)]
        count = await self._store.projections.member_count(room_id) if came else 0
        for row in () if silent else came:
            view = view_room(state.row, head_of(state), row, member_count=count)
            self._chat.reader_in(row.user_id, view)
        for user_id, reason in done.readers_out:
            if await self._store.projections.unsubscribe(room_id, user_id):
                self._chat.reader_out(state, user_id, reason)

    async def _list_public(self, ctx: Context, query: RoomQuery) -> Rooms:
        after = None if isinstance(query.after, UnsetType) else RoomId(query.after)
        words = "" if isinstance(query.query, UnsetType) else query.query
        found = await self._store.projections.public_rooms(
            words, after=after, limit=query.limit + 1
        )
        ids = [row.id for row, _ in found]
        mine = {view.id: view for view in await self._chat.views(ctx.user_id, only=ids)}
        heads = await self._store.log.heads(ids)
        views = [
            mine.get(row.id) or view_room(row, heads[row.id], None, member_count=count)
            for row, count in found
            if row.id in heads
        ]
        return _page(views, query.limit)


def _empty(room_id: RoomId, head: LogHead, cmd: NewRoom, now_ms: int) -> RoomState:
    row = RoomRow(room_id, cmd.kind, cmd.visibility, cmd.history, False, now_ms)
    return RoomState(room_id, head.log_id, row, Seq(0), Seq(1), 0, Seq(0), {})


def _reader(state: RoomState, user_id: UserId, now_ms: int) -> MemberRow:
    head = state.head
    return MemberRow(state.room_id, user_id, "member", head, now_ms, head, head)


def show_member(row: MemberRow, user: UserRow, *, marks: bool) -> MemberView:
    view = MemberView(show_user(user), row.role, row.joined_at)
    if marks:
        view = msgspec.structs.replace(
            view, read_seq=int(row.read_seq), delivered_seq=int(row.delivered_seq)
        )
    return view


def _page(views: list[RoomView], limit: int) -> Rooms:
    if len(views) <= limit:
        return Rooms(views)
    return Rooms(views[:limit], views[limit - 1].id)
