"""Members: added, joining by themselves, leaving, removed, promoted. The log decides; a broadcast
room's readers are subscriptions beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.chat.commands import Command, Desk, Drafter, Plan, check_rank, raw
from server.chat.settings import member_content
from server.chat.shapes import AddMembers
from server.chat.state import RANK, RoomState, member_of
from server.kernel.errors import Conflict, Forbidden, NotFound, TooLarge
from server.kernel.events import Context
from server.kernel.ids import Seq, UserId
from storage.api import Event, MemberRow, Role


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The answer of these commands. `readers_in` / `readers_out`: subscriptions, not in the log."""

    added: tuple[UserId, ...] = ()
    readers_in: tuple[MemberRow, ...] = ()
    readers_out: tuple[tuple[UserId, str], ...] = ()


def check_users_known(asked: tuple[UserId, ...], known: object, field: str) -> None:
    """Raises NotFound when one of `asked` is not in `known` (a container of user ids)."""
    for user_id in asked:
        if user_id not in known:  # type: ignore[operator]
            raise NotFound("There is no such user.", field=field)


class Add(Command):
    """Add users, or oneself to a public room. All or nothing."""

    __slots__ = ("cmd", "max_members", "max_rooms")

    def __init__(self, by: Context, cmd: AddMembers, *, max_members: int, max_rooms: int) -> None:
        super().__init__(by)
        self.cmd = cmd
        self.max_members = max_members
        self.max_rooms = max_rooms

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        asked = tuple(dict.fromkeys(UserId(user_id) for user_id in self.cmd.user_ids))
        joins = await self._check(state, desk, asked)
        known = await desk.store.accounts.users(asked)
        check_users_known(asked, known, "user_ids")
        new = [user_id for user_id in asked if not await _is_in(desk, state, user_id)]
        await self._check_sizes(state, desk, new)
        if state.broadcast and self.cmd.role == "member":
            rows = tuple(_reader(state, user_id, now_ms) for user_id in new)
            return Plan(answer=MembersChanged(tuple(new), readers_in=rows))
        drafter = Drafter(state, desk.ids, now_ms)
        events = tuple(self._event(drafter, user_id, joins=joins) for user_id in new)
        return Plan(events, answer=MembersChanged(tuple(new)))

    async def _check(self, state: RoomState, desk: Desk, asked: tuple[UserId, ...]) -> bool:
        """Whether he lets himself in. Raises what he may not."""
        try:
            member = await member_of(desk.store, state, self.by.user_id)
        except Forbidden:  # a public room that he is not in
            if asked != (self.by.user_id,) or self.cmd.role != "member":
                raise
            return True
        if state.row.kind == "direct":
            raise Conflict("A direct room stays a room of two.")
        if asked == (self.by.user_id,):
            return False
        check_rank(member, "owner", "admin")
        if RANK[self.cmd.role] > RANK[member.role]:
            raise Forbidden("Nobody gives a role above his own.", field="role")
        return False

    async def _check_sizes(self, state: RoomState, desk: Desk, new: list[UserId]) -> None:
        if not state.broadcast and len(state.members) + len(new) > self.max_members:
            text = "The room would have too many members."
            raise TooLarge(text, field="user_ids", data={"group_members": self.max_members})
        for user_id in new:
            await check_rooms_of(desk, user_id, self.max_rooms)

    def _event(self, drafter: Drafter, user_id: UserId, *, joins: bool) -> Event:
        change = "joined" if joins else "added"
        content = member_content(user_id, change, self.by.user_id, self.cmd.role)
        return drafter.draft("member", (self.by.user_id, self.by.device_id), raw(content))


async def check_rooms_of(desk: Desk, user_id: UserId, max_rooms: int) -> None:
    """Raises TooLarge when the user cannot have one more room."""
    if len(await desk.store.projections.room_ids_of(user_id)) >= max_rooms:
        text = "This user is in as many rooms as the server allows."
        raise TooLarge(text, field="user_ids", data={"rooms_per_user": max_rooms})


class Remove(Command):
    """Leave, or remove another."""

    __slots__ = ("user_id",)

    def __init__(self, by: Context, user_id: UserId) -> None:
        super().__init__(by)
        self.user_id = user_id

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        leaves = self.user_id == self.by.user_id
        target = member if leaves else await _target(desk, state, self.user_id)
        if state.row.kind == "direct":
            raise Conflict("Nobody leaves a direct room.")
        if not leaves:
            check_rank(member, "owner", "admin")
            if member.role != "owner" and RANK[target.role] >= RANK[member.role]:
                raise Forbidden("Only the owner removes an owner or admin.")
        check_owner_remains(state, target)
        change = "left" if leaves else "removed"
        if target.user_id not in state.members:
            return Plan(answer=MembersChanged(readers_out=((target.user_id, change),)))
        content = member_content(target.user_id, change, self.by.user_id)
        sender = (self.by.user_id, self.by.device_id)
        event = Drafter(state, desk.ids, now_ms).draft("member", sender, raw(content))
        return Plan((event,), answer=MembersChanged())


class ChangeRole(Command):
    """Give a member another role."""

    __slots__ = ("role", "user_id")

    def __init__(self, by: Context, user_id: UserId, role: Role) -> None:
        super().__init__(by)
        self.user_id = user_id
        self.role = role

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        target = await _target(desk, state, self.user_id)
        if state.row.kind == "direct":
            raise Conflict("A direct room has no roles.")
        check_rank(member, "owner", "admin")
        if RANK[self.role] > RANK[member.role] or RANK[target.role] > RANK[member.role]:
            raise Forbidden("Nobody gives or takes a role above his own.", field="role")
        if target.role == self.role:
            return Plan(answer=MembersChanged())
        if target.role == "owner":
            check_owner_remains(state, target)
        return self._plan(state, Drafter(state, desk.ids, now_ms), target)

    def _plan(self, state: RoomState, drafter: Drafter, target: MemberRow) -> Plan:
        is_reader = target.user_id not in state.members
        change = "added" if is_reader else "role"
        content = member_content(target.user_id, change, self.by.user_id, self.role)
        sender = (self.by.user_id, self.by.device_id)
        event = drafter.draft("member", sender, raw(content))
        if state.broadcast and self.role == "member":
            reader = _reader(state, target.user_id, target.joined_at)
            return Plan((event,), answer=MembersChanged(readers_in=(reader,)))
        return Plan((event,), answer=MembersChanged())


def check_owner_remains(state: RoomState, target: MemberRow) -> None:
    """Raises Conflict when `target` is the last owner."""
    owners = [m.user_id for m in state.members.values() if m.role == "owner"]
    if owners == [target.user_id]:
        raise Conflict("The last owner stays: make somebody else owner first.")


async def _target(desk: Desk, state: RoomState, user_id: UserId) -> MemberRow:
    if not await _is_in(desk, state, user_id):
        raise NotFound("There is no such member.", field="user_id")
    return await member_of(desk.store, state, user_id)


async def _is_in(desk: Desk, state: RoomState, user_id: UserId) -> bool:
    if user_id in state.members:
        return True
    if not state.broadcast:
        return False
    return await desk.store.projections.membership(state.room_id, user_id) is not None


def _reader(state: RoomState, user_id: UserId, now_ms: int) -> MemberRow:
    head = Seq(state.head)
    return MemberRow(state.room_id, user_id, "member", head, now_ms, head, head)
