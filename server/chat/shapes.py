"""What chat takes from clients and answers (PROTOCOL sections 1, 2 and 5).

Optional members are absent or of their type: an explicit null is `invalid`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.kernel.ids import Id
from storage.api import Event, History, Reaction, Role, RoomKind, ThreadSummary, Visibility

SeqNumber = Annotated[int, Meta(ge=1, le=2**53 - 1)]
SeqOrZero = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Emoji = Annotated[str, Meta(min_length=1, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Topic = Annotated[str, Meta(max_length=1000)]
UserIds = Annotated[tuple[Id, ...], Meta(max_length=1000)]
PageSize = Annotated[int, Meta(ge=1, le=500)]

MAX_EXPIRY_S = 10 * 365 * 86_400
"""Ten years: a message that lives longer need not expire."""


class _Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client sends."""


class TextContent(_Sent, frozen=True, tag_field="type", tag="text"):
    body: str
    format: Literal["plain", "markdown"] | UnsetType = UNSET


class SealedContent(_Sent, frozen=True, tag_field="type", tag="sealed"):
    scheme: Literal["mls"]
    ciphertext: str


Content = TextContent | SealedContent


class Mention(_Sent, frozen=True):
    user_ids: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()
    room: bool = False


class SendMessage(_Sent, frozen=True):
    room_id: Id
    client_id: Id
    content: Content
    reply_to: SeqNumber | UnsetType = UNSET
    thread_seq: SeqNumber | UnsetType = UNSET
    mentions: Mention | UnsetType = UNSET
    file_ids: Annotated[tuple[Id, ...], Meta(max_length=20)] = ()
    expires_in_s: Annotated[int, Meta(ge=1, le=MAX_EXPIRY_S)] | UnsetType = UNSET


class EditMessage(_Sent, frozen=True):
    room_id: Id
    client_id: Id
    seq: SeqNumber
    content: Content
    mentions: Mention | UnsetType = UNSET


class DeleteMessage(_Sent, frozen=True):
    room_id: Id
    client_id: Id
    seq: SeqNumber


class React(_Sent, frozen=True):
    room_id: Id
    client_id: Id
    seq: SeqNumber
    emoji: Emoji


class SetReceipt(_Sent, frozen=True):
    room_id: Id
    delivered_seq: SeqOrZero = 0
    read_seq: SeqOrZero = 0


class SetTyping(_Sent, frozen=True):
    room_id: Id
    typing: bool


class Known(_Sent, frozen=True):
    log_id: Id
    seq: SeqOrZero


class Sync(_Sent, frozen=True):
    rooms: Annotated[dict[Id, Known], Meta(max_length=10_000)] = {}
    changed_only: bool = False
    after: Id | UnsetType = UNSET
    limit: PageSize = 100
    from_: Literal["seq", "tail"] = msgspec.field(default="seq", name="from")


class NewRoom(_Sent, frozen=True):
    kind: RoomKind
    name: Name | UnsetType = UNSET
    member_ids: UserIds = ()
    visibility: Visibility = "private"
    e2ee: bool = False
    history: History = "all"


class PatchRoom(_Sent, frozen=True):
    name: Name | UnsetType = UNSET
    topic: Topic | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    history: History | UnsetType = UNSET


class AddMembers(_Sent, frozen=True):
    user_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=1000)]
    role: Role = "member"


class PatchMember(_Sent, frozen=True):
    role: Role


class RoomQuery(_Sent, frozen=True):
    after: Id | UnsetType = UNSET
    limit: PageSize = 100
    visibility: Literal["public"] | UnsetType = UNSET
    query: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class MemberQuery(_Sent, frozen=True):
    after: Id | UnsetType = UNSET
    limit: PageSize = 100


class EventQuery(_Sent, frozen=True):
    after: SeqOrZero | UnsetType = UNSET
    before: SeqNumber | UnsetType = UNSET
    limit: PageSize = 50
    view: Literal["events", "messages"] = "events"


# ---- answers -------------------------------------------------------------------------------------


class Stored(msgspec.Struct, frozen=True):
    """The event that a command became."""

    seq: int
    id: str
    at: int


class RoomView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room as one user has it. `role` is left out for a public room he is not in."""

    id: str
    kind: RoomKind
    visibility: Visibility
    e2ee: bool
    history: History
    log_id: str
    head: int
    first_seq: int
    read_seq: int
    unread: int
    mentions: int
    member_count: int
    created_at: int
    role: Role | UnsetType = UNSET
    name: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    user_ids: tuple[str, ...] | UnsetType = UNSET


class Rooms(msgspec.Struct, frozen=True, omit_defaults=True):
    rooms: list[RoomView]
    next: str | UnsetType = UNSET


class UserView(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    username: str
    display_name: str
    avatar_file_id: str | None = None


class MemberView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The marks are there where `room:receipt` tells them to all: see `server.chat.receipts`."""

    user: UserView
    role: Role
    joined_at: int
    read_seq: int | UnsetType = UNSET
    delivered_seq: int | UnsetType = UNSET


class Members(msgspec.Struct, frozen=True, omit_defaults=True):
    members: list[MemberView]
    next: str | UnsetType = UNSET


class Added(msgspec.Struct, frozen=True):
    added: list[str]


class StateView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message as of the head, in the view `messages`."""

    content: msgspec.Raw | None
    reactions: tuple[Reaction, ...]
    edited_seq: int | UnsetType = UNSET
    gone: str | UnsetType = UNSET
    thread: ThreadSummary | UnsetType = UNSET


class ListedEvent(Event, frozen=True, omit_defaults=True):
    """A row of a history page; `state` in the view `messages` only."""

    state: StateView | UnsetType = UNSET


class HistoryPage(msgspec.Struct, frozen=True):
    """A page of a room's log."""

    log_id: str
    head: int
    first_seq: int
    events: list[ListedEvent]
    more: bool


class Gap(msgspec.Struct, frozen=True):
    """The events with after < seq < before are not in this answer."""

    after: int
    before: int


class SyncedRoom(msgspec.Struct, frozen=True, omit_defaults=True):
    room: RoomView
    events: list[Event]
    more: bool
    reset: bool = False
    gap: Gap | UnsetType = UNSET


class Synced(msgspec.Struct, frozen=True, omit_defaults=True):
    rooms: list[SyncedRoom]
    removed: list[str]
    next: str | UnsetType = UNSET


class ReceiptView(msgspec.Struct, frozen=True):
    delivered_seq: int
    read_seq: int
