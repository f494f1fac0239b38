"""What the wire carries, typed. Members that a newer server adds are ignored."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from hubbub.calls.shapes import CallChanged, CallRinging, CallSignal


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    username: str
    display_name: str
    avatar_file_id: str | None = None


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    name: str = ""
    platform: str = ""


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login. Both tokens are secrets; `expires_in_s` counts from when it was received."""

    user: User
    device: Device
    session_id: str
    access_token: str
    refresh_token: str
    expires_in_s: float

    def __repr__(self) -> str:
        return f"Session(user={self.user.username!r}, session_id={self.session_id!r})"


class OwnSession(msgspec.Struct, frozen=True):
    """A row of `GET /api/v1/sessions`."""

    id: str
    device: Device
    created_at: int
    last_used_at: int
    current: bool


class ServerInfo(msgspec.Struct, frozen=True):
    version: str
    features: list[str] = []
    limits: dict[str, Any] = {}
    registration: str = "closed"
    now: int | None = None


class RoomInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room as its member sees it."""

    id: str
    kind: Literal["direct", "group", "broadcast"]
    log_id: str
    head: int
    name: str | None = None
    topic: str | None = None
    visibility: str = "private"
    e2ee: bool = False
    history: str = "all"
    role: str | None = None
    first_seq: int = 1
    read_seq: int = 0
    unread: int = 0
    mentions: int = 0
    member_count: int = 0
    created_at: int = 0
    user_ids: list[str] = []


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of a room's log. `content` is None when `gone` says why."""

    room_id: str
    log_id: str
    seq: int
    id: str
    at: int
    type: str
    sender_id: str
    device_id: str = ""
    client_id: str | None = None
    content: dict[str, Any] | None = None
    target_seq: int | None = None
    reply_to: int | None = None
    thread_seq: int | None = None
    mentions: dict[str, Any] | None = None
    file_ids: list[str] = []
    expires_at: int | None = None
    state: dict[str, Any] | None = None
    gone: str | None = None

    @property
    def body(self) -> str:
        """The text of a text message or of an edit; empty for anything else."""
        if self.content is None or self.content.get("type") != "text":
            return ""
        return str(self.content.get("body", ""))


class Page(msgspec.Struct, frozen=True):
    """A page of history, ascending by seq."""

    log_id: str
    head: int
    first_seq: int
    events: list[Event]
    more: bool = False


class Member(msgspec.Struct, frozen=True):
    user: User
    role: str
    joined_at: int = 0


class GapSpan(msgspec.Struct, frozen=True):
    after: int
    before: int


class SyncedRoom(msgspec.Struct, frozen=True):
    room: RoomInfo
    events: list[Event] = []
    more: bool = False
    reset: bool = False
    gap: GapSpan | None = None


class SyncAnswer(msgspec.Struct, frozen=True):
    rooms: list[SyncedRoom] = []
    removed: list[str] = []
    next: str | None = None


class Presence(msgspec.Struct, frozen=True):
    status: str
    text: str | None = None
    last_seen_at: int | None = None


class Sent(msgspec.Struct, frozen=True):
    """The durable result of a command: the event's place in the log."""

    seq: int
    id: str
    at: int


# ---- what a feed hands out -----------------------------------------------------------------------


class RoomEvent(msgspec.Struct, frozen=True):
    """Exactly once for each seq, ascending by 1 in each room (but for `Gap` and `Reset`)."""

    event: Event


class Gap(msgspec.Struct, frozen=True):
    """The events with after < seq < before are not to be had any more (retention)."""

    room_id: str
    after: int
    before: int


class Reset(msgspec.Struct, frozen=True):
    """The room's log is another one (restored from a backup): forget what you kept of it."""

    room_id: str
    log_id: str


class RoomAdded(msgspec.Struct, frozen=True):
    room: RoomInfo


class RoomRemoved(msgspec.Struct, frozen=True):
    room_id: str
    reason: str = ""


class RoomUpdated(msgspec.Struct, frozen=True):
    room: RoomInfo


class Receipt(msgspec.Struct, frozen=True):
    room_id: str
    user_id: str
    delivered_seq: int = 0
    read_seq: int = 0


class Typing(msgspec.Struct, frozen=True):
    room_id: str
    user_id: str
    typing: bool


class PresenceChanged(msgspec.Struct, frozen=True):
    user_id: str
    status: str
    text: str | None = None
    last_seen_at: int | None = None


class SessionEnded(msgspec.Struct, frozen=True):
    """`revoked`, `reused`, `password_changed`: log in again; other reasons: the client resumes."""

    reason: str


class Connected(msgspec.Struct, frozen=True):
    """The line is up and everything missed has been handed out."""


class Disconnected(msgspec.Struct, frozen=True):
    """The line is down; the client is trying again by itself."""

    reason: str


class CommandDone(msgspec.Struct, frozen=True):
    """A command kept from an earlier run of the program was acknowledged."""

    client_id: str
    sent: Sent


class CommandRefused(msgspec.Struct, frozen=True):
    """A command kept from an earlier run of the program was refused for good."""

    client_id: str
    code: str
    text: str


Item: TypeAlias = (
    RoomEvent | Gap | Reset | RoomAdded | RoomRemoved | RoomUpdated | Receipt | Typing
    | PresenceChanged | SessionEnded | Connected | Disconnected | CommandDone | CommandRefused
    | CallRinging | CallChanged | CallSignal
)  # fmt: skip
