"""Commands that one node may carry out for another: their names, shapes and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from server.chat.commands import Command
from server.chat.members import Add, ChangeRole, MembersChanged, Remove
from server.chat.messages import Delete, Edit, Send
from server.chat.reactions import ChangeReaction
from server.chat.settings import ChangeSettings
from server.chat.shapes import (
    AddMembers,
    DeleteMessage,
    EditMessage,
    PatchRoom,
    React,
    SendMessage,
    Stored,
)
from server.kernel.config import Limits
from server.kernel.events import Context
from server.kernel.ids import UserId
from storage.api import Role


class Member(msgspec.Struct, frozen=True):
    user_id: UserId
    role: Role = "member"


@dataclass(frozen=True, slots=True)
class Kind:
    """`parcel`: what of a command travels; `make`: the command again, at the other node."""

    shape: Any
    answer: Any
    parcel: Callable[[Any], Any]
    make: Callable[[Context, Any, Limits], Command]


def _cmd(command: Any) -> Any:
    return command.cmd


KINDS: dict[str, Kind] = {
    "send": Kind(SendMessage, Stored, _cmd, lambda ctx, cmd, limits: Send(ctx, cmd)),
    "edit": Kind(EditMessage, Stored, _cmd, lambda ctx, cmd, limits: Edit(ctx, cmd)),
    "delete": Kind(DeleteMessage, Stored, _cmd, lambda ctx, cmd, limits: Delete(ctx, cmd)),
    "react": Kind(React, Stored, _cmd, lambda ctx, cmd, limits: ChangeReaction(ctx, cmd, "add")),
    "unreact": Kind(
        React, Stored, _cmd, lambda ctx, cmd, limits: ChangeReaction(ctx, cmd, "remove")
    ),
    "settings": Kind(
        PatchRoom, Stored | None, _cmd, lambda ctx, cmd, limits: ChangeSettings(ctx, cmd)
    ),
    "add": Kind(
        AddMembers, MembersChanged, _cmd,
        lambda ctx, cmd, limits: Add(
            ctx, cmd, max_members=limits.group_members, max_rooms=limits.rooms_per_user
        ),
    ),
    "remove": Kind(
        Member, MembersChanged, lambda command: Member(command.user_id),
        lambda ctx, cmd, limits: Remove(ctx, cmd.user_id),
    ),
    "role": Kind(
        Member, MembersChanged, lambda command: Member(command.user_id, command.role),
        lambda ctx, cmd, limits: ChangeRole(ctx, cmd.user_id, cmd.role),
    ),
}  # fmt: skip

_NAMES: dict[type[Command], str] = {
    Send: "send", Edit: "edit", Delete: "delete", ChangeSettings: "settings", Add: "add",
    Remove: "remove", ChangeRole: "role",
}  # fmt: skip


def kind_of(command: Command) -> str | None:
    """None: this command stays where it is."""
    if isinstance(command, ChangeReaction):
        return "react" if command.op == "add" else "unreact"
    return _NAMES.get(type(command))
