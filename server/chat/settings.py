"""A room's life beside its messages: made, renamed, opened to the public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UnsetType

from server.chat.commands import Command, Desk, Drafter, Plan, check_rank, raw
from server.chat.shapes import NewRoom, PatchRoom
from server.chat.state import RoomState, member_of
from server.kernel.errors import Conflict, Invalid
from server.kernel.events import Context
from server.kernel.ids import UserId
from storage.api import Event, Role, RoomRow


def check_new_room(cmd: NewRoom, by: UserId) -> None:
    """The rules of each kind of room. Raises Invalid."""
    if cmd.e2ee:
        raise Invalid("Encrypted rooms are not available on this server.", field="e2ee")
    if cmd.kind == "direct":
        if not isinstance(cmd.name, UnsetType):
            raise Invalid("A direct room has no name.", field="name")
        if cmd.visibility == "public":
            raise Invalid("A direct room is private.", field="visibility")
        if len(cmd.member_ids) != 1 or cmd.member_ids[0] == by:
            raise Invalid("A direct room takes exactly one other member.", field="member_ids")
    if cmd.kind == "broadcast" and cmd.history == "joined":
        raise Invalid("A broadcast room shows all of its history.", field="history")


def first_settings(cmd: NewRoom) -> dict[str, Any]:
    """What the first `room` event says."""
    changes: dict[str, Any] = {
        "kind": cmd.kind,
        "visibility": cmd.visibility,
        "history": cmd.history,
        "e2ee": cmd.e2ee,
    }
    if not isinstance(cmd.name, UnsetType):
        changes["name"] = cmd.name
    return changes


def first_events(
    drafter: Drafter, by: Context, settings: Mapping[str, Any], others: Sequence[UserId]
) -> tuple[Event, ...]:
    """A new log: its `room` event, then one `member` event for each first member."""
    sender = (by.user_id, by.device_id)
    direct = settings["kind"] == "direct"
    first: Role = "member" if direct else "owner"
    events = [drafter.draft("room", sender, raw({"changes": settings}))]
    content = member_content(by.user_id, "joined", by.user_id, first)
    events.append(drafter.draft("member", sender, raw(content)))
    if settings["kind"] != "broadcast":
        for user_id in others:
            content = member_content(user_id, "added", by.user_id, "member")
            events.append(drafter.draft("member", sender, raw(content)))
    return tuple(events)


def member_content(
    user_id: UserId, change: str, by: UserId, role: Role | None = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"user_id": user_id, "change": change, "by": by}
    if role is not None:
        content["role"] = role
    return content


class ChangeSettings(Command):
    """Name, topic, visibility, history; only what differs becomes an event."""

    __slots__ = ("cmd",)

    def __init__(self, by: Context, cmd: PatchRoom) -> None:
        super().__init__(by)
        self.cmd = cmd

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        if state.row.kind == "direct":
            raise Conflict("A direct room has no settings.")
        check_rank(member, "owner", "admin")
        if state.broadcast and self.cmd.history == "joined":
            raise Invalid("A broadcast room shows all of its history.", field="history")
        changes = _differing(self.cmd, state.row)
        if not changes:
            return Plan()
        drafter = Drafter(state, desk.ids, now_ms)
        sender = (self.by.user_id, self.by.device_id)
        return Plan((drafter.draft("room", sender, raw({"changes": changes})),))


def _differing(cmd: PatchRoom, row: RoomRow) -> dict[str, Any]:
    asked = {name: getattr(cmd, name) for name in ("name", "topic", "visibility", "history")}
    return {
        name: value
        for name, value in asked.items()
        if not isinstance(value, UnsetType) and value != getattr(row, name)
    }
