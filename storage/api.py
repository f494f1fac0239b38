"""The seams of storage: room log, projections, accounts; one contract suite for each.

The log is the truth; projections are what is fast to read and can be rebuilt from it
(server.chat.fold). All methods may raise `Unavailable`: the store cannot serve and nothing of the
call was stored, or, for a call that was under way, its outcome must be read. Lists are ordered as
stated, times are ms since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from server.kernel.ids import DeviceId, EventId, LogId, RoomId, Seq, SessionId, UserId

NO_SEQ = Seq(0)
"""Before the first event."""

# ---- the room log --------------------------------------------------------------------------------

EventType = Literal["message", "edit", "delete", "reaction", "member", "room", "call", "mls"]
Gone = Literal["deleted", "expired", "erased"]


class Mentions(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    user_ids: tuple[str, ...] = ()
    room: bool = False


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of a room's log, and its shape on the wire (PROTOCOL section 2 "An event").

    `content` is JSON as stored, None only when `gone` says why. `n` is the running number of main-
    line
    messages up to and with this event; it and `client_id` are taken off by `public`/`own` before
    the wire.
    """

    room_id: RoomId
    log_id: LogId
    seq: Seq
    id: EventId
    at: int
    type: EventType
    sender_id: UserId
    device_id: DeviceId
    content: msgspec.Raw | None = msgspec.field(default=msgspec.UNSET)  # type: ignore[assignment]
    client_id: str | None = None
    target_seq: Seq | None = None
    reply_to: Seq | None = None
    thread_seq: Seq | None = None
    mentions: Mentions | None = None
    file_ids: tuple[str, ...] = ()
    expires_at: int | None = None
    gone: Gone | None = None
    n: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A client's id for a command: the key (sender, client_id) in a room stands for the event
    `seq`.

    `digest`: 16 bytes of the command, to tell a retry from another command with the same id.
    """

    sender_id: UserId
    client_id: str
    seq: Seq
    digest: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is appended at once to one room, all or nothing, conditioned on the head.

    `events` carry seq head+1, head+2 ... without holes (may be empty: only claims). `claims` may
    name older
    seqs (a reaction that is already there). `blanks` are rows of this room whose content goes.
    """

    room_id: RoomId
    if_head: Seq
    events: tuple[Event, ...]
    claims: tuple[Claim, ...] = ()
    blanks: tuple[tuple[Seq, Gone], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was stored: the head is another, or some claims are taken. Both are told, so no
    second read.

    `taken` maps (sender_id, client_id) to the claim that is there.
    """

    head: Seq
    taken: Mapping[tuple[UserId, str], Claim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogHead:
    """`head` 0: empty. `first_seq`: the oldest row that is still there (head + 1 if none). `n` at
    the head.
    """

    log_id: LogId
    head: Seq
    first_seq: Seq
    n: int


class RoomLog(Protocol):
    """Events of rooms, in order. `seq` starts at 1 and has no holes; only blanking changes a row,
    ever.
    """

    async def create(self, room_id: RoomId, log_id: LogId) -> bool:
        """Make an empty log. False (and nothing changed) if the room has one."""
        ...

    async def heads(self, room_ids: Collection[RoomId]) -> dict[RoomId, LogHead]:
        """Rooms without a log are left out."""
        ...

    def append(self, batch: Batch) -> Awaitable[Refused | None]:
        """None: all of it is durable (P1). Calls of one process for one room take effect in call
        order: a plain call, whose place in the order is taken before anything is awaited.

        Raises:
            LookupError: the room has no log. ValueError: the seqs do not follow `if_head`.
        """
        ...

    async def read(
        self,
        room_id: RoomId,
        *,
        after: Seq = Seq(0),
        before: Seq | None = None,
        limit: int,
        newest: bool = False,
        messages: bool = False,
        max_bytes: int = 262_144,
    ) -> tuple[list[Event], bool]:
        """Rows with after < seq < before, ascending: the first `limit` of them, or with `newest`
        the last.

        `messages`: only rows of type message. At most `max_bytes` of content, but at least one row.
        Returns the rows and whether more satisfy the bounds. Cost is of the page, wherever it lies.
        """
        ...

    async def rows(self, room_id: RoomId, seqs: Collection[Seq]) -> dict[Seq, Event]: ...

    async def counts(self, points: Collection[tuple[RoomId, Seq]]) -> dict[tuple[RoomId, Seq], int]:
        """`n` at each (room, seq); 0 for seq 0; of the nearest older row where that row was
        dropped.
        """
        ...

    async def claims(
        self, room_id: RoomId, keys: Collection[tuple[UserId, str]]
    ) -> dict[tuple[UserId, str], Claim]: ...

    async def targeting(self, room_id: RoomId, target_seq: Seq, type: EventType) -> list[Seq]:
        """Seqs of rows of `type` whose target_seq is this (the edits of a message), ascending."""
        ...

    async def blank(self, room_id: RoomId, seqs: Collection[Seq], gone: Gone) -> None:
        """Content, mentions and file_ids go from rows not yet gone; digest, ids, order and `n`
        stay.
        """
        ...

    async def due(self, now_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        """Rows not gone with expires_at <= now, oldest first."""
        ...

    async def older_than(self, at_ms: int, limit: int) -> list[tuple[RoomId, Seq]]:
        """Rows with content (message, edit) not gone with at < at_ms: what retention blanks."""
        ...

    async def drop_before(self, room_id: RoomId, seq: Seq) -> None:
        """Remove rows with a smaller seq; first_seq becomes `seq`. The head stays."""
        ...

    async def drop_claims(self, before_ms: int) -> int:
        """Forget claims older than this whose event row is gone from the log. Returns how many."""
        ...

    async def renew(self) -> None:
        """Give every log a new log_id (after a restore)."""
        ...

    async def room_ids(self) -> list[RoomId]: ...


# ---- projections ---------------------------------------------------------------------------------

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


class Projections(Protocol):
    """What is derived from logs (rebuilt by folding them), and receipts, which only grow."""

    def apply(
        self, room_id: RoomId, *, from_seq: Seq, to_seq: Seq, changes: Sequence[Change]
    ) -> Awaitable[bool]:
        """Apply the fold of events from_seq+1..to_seq, idempotently.

        Done (True) only if the room's applied_seq is from_seq and, where log and projections share
        a store,
        the log's head is at least to_seq; else nothing changes (False). An embedded store puts it
        into the
        same transaction as an `append` that was called in the same loop turn before it.
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

    async def set_receipts(self, room_id: RoomId, receipts: Sequence[PutReceipt]) -> None: ...

    async def states(
        self, room_id: RoomId, seqs: Collection[Seq], viewer: UserId
    ) -> dict[Seq, MessageState]: ...

    async def reaction(self, room_id: RoomId, seq: Seq, user_id: UserId, emoji: str) -> Seq | None:
        """The event that added it, if it is there."""
        ...


# ---- accounts ------------------------------------------------------------------------------------


class UserRow(msgspec.Struct, frozen=True):
    id: UserId
    username: str
    display_name: str
    password_hash: str
    created_at: int
    email: str | None = None
    admin: bool = False
    disabled: bool = False
    avatar_file_id: str | None = None
    totp_secret: str | None = None
    """Base32; set only once confirmed."""


class DeviceRow(msgspec.Struct, frozen=True):
    id: DeviceId
    user_id: UserId
    name: str
    platform: str
    created_at: int


class SessionRow(msgspec.Struct, frozen=True):
    """`generation` counts refreshes; `used_generation` is the newest one whose tokens were
    presented.
    """

    id: SessionId
    user_id: UserId
    device_id: DeviceId
    created_at: int
    last_used_at: int
    expires_at: int
    generation: int = 0
    used_generation: int = 0
    ended_at: int | None = None


class InviteRow(msgspec.Struct, frozen=True):
    """`hash`: sha256 hex of the invitation code. `admin`: makes an administrator."""

    hash: str
    created_at: int
    expires_at: int
    uses_left: int
    admin: bool = False


class PresenceRow(msgspec.Struct, frozen=True):
    user_id: UserId
    status: Literal["online", "away", "busy", "invisible"] = "online"
    text: str | None = None
    last_seen_at: int | None = None


class Accounts(Protocol):
    """Users, devices, login sessions, invitations, blocks, presence settings, secrets of the
    server.
    """

    async def add_user(
        self, user: UserRow, *, invite_hash: str | None = None, now_ms: int = 0
    ) -> Literal["ok", "taken", "no_invite"]:
        """At once: the name is free, and the invitation (if given) has a use left, which is taken.
        `user.admin` is or-ed with the invitation's."""
        ...

    async def user_by_name(self, username: str) -> UserRow | None: ...

    async def users(self, user_ids: Collection[UserId]) -> dict[UserId, UserRow]: ...

    async def search_users(
        self, query: str, *, among: Collection[UserId] | None, limit: int
    ) -> list[UserRow]:
        """By prefix of the user name or of a word of the display name, case-insensitive, by user
        name.
        """
        ...

    async def all_users(self, *, after: str | None = None, limit: int = 500) -> list[UserRow]:
        """By user name."""
        ...

    async def update_user(self, user_id: UserId, changes: Mapping[str, Any]) -> UserRow | None:
        """Set the named columns of UserRow (never id or username)."""
        ...

    async def count_users(self) -> int: ...

    async def put_device(self, device: DeviceRow) -> None: ...

    async def devices(self, device_ids: Collection[DeviceId]) -> dict[DeviceId, DeviceRow]: ...

    async def devices_of(self, user_id: UserId) -> list[DeviceRow]: ...

    async def add_session(self, session: SessionRow) -> None: ...

    async def session(self, session_id: SessionId) -> SessionRow | None: ...

    async def sessions_of(self, user_id: UserId) -> list[SessionRow]:
        """Those not ended, newest first."""
        ...

    async def advance_session(
        self, session_id: SessionId, *, from_generation: int, now_ms: int, expires_at: int
    ) -> bool:
        """generation from -> from+1, used_generation = from. False if it was not at
        `from_generation` or is ended.
        """
        ...

    async def use_session(self, session_id: SessionId, *, generation: int, now_ms: int) -> None:
        """Note that a token of `generation` was presented (a maximum), and last_used_at."""
        ...

    async def end_sessions(
        self, session_ids: Collection[SessionId], now_ms: int
    ) -> list[SessionId]:
        """Returns those that were still open."""
        ...

    async def put_recovery_codes(self, user_id: UserId, hashes: Sequence[str]) -> None:
        """Replaces all."""
        ...

    async def use_recovery_code(self, user_id: UserId, hash: str) -> bool: ...

    async def use_totp_step(self, user_id: UserId, step: int) -> bool:
        """True once for a 30 s step newer than any used before: works once (RFC 6238, 5.2)."""
        ...

    async def add_invite(self, invite: InviteRow) -> None: ...

    async def invites(self) -> list[InviteRow]: ...

    async def set_block(self, user_id: UserId, blocked_id: UserId, on: bool) -> None: ...

    async def blocks_of(self, user_id: UserId) -> list[UserId]: ...

    async def blocked(self, by: UserId, user_id: UserId) -> bool: ...

    async def presence(self, user_ids: Collection[UserId]) -> dict[UserId, PresenceRow]: ...

    async def put_presence(self, row: PresenceRow) -> None: ...

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """The server's own secret of that name; `fresh` becomes it if there was none."""
        ...


class Store(Protocol):
    """A shape's three seams together, opened and closed as one."""

    @property
    def log(self) -> RoomLog: ...

    @property
    def projections(self) -> Projections: ...

    @property
    def accounts(self) -> Accounts: ...

    async def check(self) -> None:
        """Raises Unavailable when the store cannot write now (disk full, read-only)."""
        ...

    async def close(self) -> None: ...
