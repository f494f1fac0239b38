"""The room log: the truth. Everything else can be made again from it."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from server.kernel.ids import DeviceId, EventId, LogId, RoomId, Seq, UserId

NO_SEQ = Seq(0)
"""Before the first event."""

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
