"""What is derived from logs and fast to read: rooms, members, message states, receipts."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from server.kernel.ids import RoomId, Seq, UserId
from storage.api.log import NO_SEQ, Gone

RoomKind = Literal["direct", "group", "broadcast"]
Visibility = Literal["private", "public"]
History = Literal["all", "joined"]
Role = Literal["owner", "admin", "member"]


class RoomRow(msgspec.Struct, frozen=True):
    """A room's settings as of `applied_seq` of its log."""

    id: RoomId
    kind: RoomKind
    visibility: Visibility
    history: History
    e2ee: bool
    created_at: int
    name: str | None = None
    topic: str | None = None


class MemberRow(msgspec.Struct, frozen=True):
    """`joined_seq`: his own member event (history: joined starts there). For a broadcast reader:
    head then.
    """

    room_id: RoomId
    user_id: UserId
    role: Role
    joined_seq: Seq
    joined_at: int
    read_seq: Seq = NO_SEQ
    delivered_seq: Seq = NO_SEQ


@dataclass(frozen=True, slots=True)
class PutRoom:
    room: RoomRow


@dataclass(frozen=True, slots=True)
class PutMember:
    """Insert, or change the role of, a member; receipts of one who is there stay."""

    member: MemberRow


@dataclass(frozen=True, slots=True)
class DropMember:
    user_id: UserId


@dataclass(frozen=True, slots=True)
class PutMention:
    """`user_id` "*" mentions the room. Counted for a member while seq > his read_seq and he is not
    the sender.
    """

    user_id: UserId
    sender_id: UserId
    seq: Seq


@dataclass(frozen=True, slots=True)
class PutEdit:
    """The message `seq` now reads `content`, by the edit event `edited_seq`."""

    seq: Seq
    content: msgspec.Raw
    edited_seq: Seq


@dataclass(frozen=True, slots=True)
class PutGone:
    """The message `seq` has no content any more; its edits, mentions and reactions in projections
    go too.
    """

    seq: Seq
    gone: Gone


@dataclass(frozen=True, slots=True)
class PutReaction:
    seq: Seq
    user_id: UserId
    emoji: str
    event_seq: Seq


@dataclass(frozen=True, slots=True)
class DropReaction:
    seq: Seq
    user_id: UserId
    emoji: str


@dataclass(frozen=True, slots=True)
class PutReply:
    """The thread of the message `thread_seq` got the message `seq`."""

    thread_seq: Seq
    seq: Seq


@dataclass(frozen=True, slots=True)
class PutReceipt:
    """Maxima: they only grow."""

    user_id: UserId
    read_seq: Seq = NO_SEQ
    delivered_seq: Seq = NO_SEQ


Change = (
    PutRoom | PutMember | DropMember | PutMention | PutEdit | PutGone | PutReaction | DropReaction
    | PutReply | PutReceipt
)  # fmt: skip


class Reaction(msgspec.Struct, frozen=True):
    emoji: str
    count: int
    mine: bool


class ThreadSummary(msgspec.Struct, frozen=True):
    count: int
    last_seq: Seq


class MessageState(msgspec.Struct, frozen=True, omit_defaults=True):
    """State of a message at the head, PROTOCOL "view messages". Only for messages that differ from
    as-sent.
    """

    content: msgspec.Raw | None = None
    edited_seq: Seq | None = None
    gone: Gone | None = None
    reactions: tuple[Reaction, ...] = ()
    thread: ThreadSummary | None = None


class Membership(msgspec.Struct, frozen=True):
    """A room as one of its members has it. `peers`: the user ids of a direct room."""

    room: RoomRow
    member: MemberRow
    mentions: int
    member_count: int
    peers: tuple[UserId, ...] = ()
    applied: Seq = NO_SEQ
    """The seq up to which the room's log is in this row."""


class Projections(Protocol):
    """What is derived from logs (rebuilt by folding them), and receipts, which only grow."""

    def apply(
        self, room_id: RoomId, *, from_seq: Seq, to_seq: Seq, changes: Sequence[Change]
    ) -> Awaitable[Seq]:
        """Apply the fold of events from_seq+1..to_seq, idempotently.

        Done only if the room's applied_seq is from_seq and, where log and projections share a
        store, the log's head is at least to_seq; else nothing changes. A `joint` store puts it into
        the same transaction as an `append` that was called in the same loop turn before it.

        Returns the room's applied_seq as it is then: `to_seq` means done (or done before by
        another).
        """
        ...

    async def applied(self, room_ids: Collection[RoomId]) -> dict[RoomId, Seq]: ...

    async def clear(self, room_id: RoomId) -> None:
        """Forget everything derived (applied_seq 0), but not receipts and not broadcast readers."""
        ...

    async def room(self, room_id: RoomId) -> RoomRow | None: ...

    async def membership(self, room_id: RoomId, user_id: UserId) -> Membership | None: ...

    async def memberships(
        self,
        user_id: UserId,
        *,
        after: RoomId | None = None,
        limit: int = 500,
        only: Collection[RoomId] | None = None,
    ) -> list[Membership]:
        """Rooms of the user ordered by room id; `after` is exclusive."""
        ...

    async def room_ids_of(self, user_id: UserId) -> list[RoomId]: ...

    async def rooms_of(
        self, user_ids: Collection[UserId], *, among: Collection[RoomId] | None = None
    ) -> dict[UserId, set[RoomId]]:
        """The rooms of each, broadcast rooms that he reads included; of `among` only, if given.
        Users without rooms are left out.
        """
        ...

    async def members(
        self, room_id: RoomId, *, after: UserId | None = None, limit: int = 500
    ) -> list[MemberRow]:
        """Ordered by user id, broadcast readers included."""
        ...

    async def all_members(self, room_id: RoomId) -> list[MemberRow]:
        """The members by the log: without a broadcast room's readers."""
        ...

    async def member_count(self, room_id: RoomId) -> int: ...

    async def public_rooms(
        self, query: str, *, after: RoomId | None = None, limit: int = 50
    ) -> list[tuple[RoomRow, int]]:
        """Public rooms whose name contains `query` (case-insensitive), by id, with their member
        counts.
        """
        ...

    async def claim_direct(self, a: UserId, b: UserId, room_id: RoomId) -> RoomId:
        """The direct room of two users: `room_id` if they had none, else the one they have."""
        ...

    async def shares_room(self, user_id: UserId, others: Collection[UserId]) -> set[UserId]:
        """Those of `others` who share a room with the user (broadcast readers do not count)."""
        ...

    async def roommates(self, user_id: UserId, limit: int = 1000) -> list[UserId]: ...

    async def subscribe(self, member: MemberRow) -> bool:
        """A reader of a broadcast room. False if he is in already."""
        ...

    async def unsubscribe(self, room_id: RoomId, user_id: UserId) -> bool: ...

    async def set_receipts(
        self, room_id: RoomId, receipts: Sequence[PutReceipt]
    ) -> list[PutReceipt]:
        """Returns the marks as they are then, of those who are members, in the order given."""
        ...

    async def states(
        self, room_id: RoomId, seqs: Collection[Seq], viewer: UserId
    ) -> dict[Seq, MessageState]: ...

    async def reaction(self, room_id: RoomId, seq: Seq, user_id: UserId, emoji: str) -> Seq | None:
        """The event that added it, if it is there."""
        ...
