"""What a room's writer carries out: commands that plan events against the state at the head."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.chat.shapes import Mention, Stored
from server.chat.state import RoomState
from server.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from server.kernel.events import Context
from server.kernel.ids import EventId, Ids, Seq, uuid7_time_ms
from server.kernel.json import canonical, encode
from storage.api import (
    Change,
    Event,
    EventType,
    Gone,
    MemberRow,
    Mentions,
    Store,
)

DIGEST_BYTES = 16
AHEAD_MS = 3_600_000
"""A client id may be dated at most an hour ahead (PROTOCOL section 2, "Exactly once")."""
DAY_MS = 86_400_000


Tell = Callable[[Sequence[Event], "asyncio.Future[Any] | None"], None]


@dataclass(frozen=True, slots=True)
class Desk:
    """What commands need besides the state of the room."""

    store: Store
    ids: Ids
    tell: Tell | None = None
    """Told what is stored (facts for workers): events, and the append that they wait for where
    both go into one transaction.
    """


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command becomes.

    `claim`: an older event that the client id stands for, when none is new. `extra`: changes
    of projections beside the fold of `events`. `answer` None: the first event's seq, id and at.
    """

    events: tuple[Event, ...] = ()
    claim: Event | None = None
    blanks: tuple[tuple[Seq, Gone], ...] = ()
    extra: tuple[Change, ...] = ()
    answer: Any = None


class Command(ABC):
    """Something to be done in a room in its turn, for `by`; `future` gets the answer.

    `client_id` None: not a client's command (HTTP, upkeep), no exactly-once key.
    """

    __slots__ = ("by", "client_id", "digest", "future", "rechecks")
    plain = False
    """Plain commands are planned without waiting, many to an append."""

    def __init__(self, by: Context, client_id: str | None = None, cmd: Any = None) -> None:
        self.by = by
        self.client_id = client_id
        self.digest = b"" if client_id is None else digest_of(cmd)
        self.rechecks = 0
        """How often a refusal was found to be about a room that had moved on elsewhere."""
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @abstractmethod
    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        """Check and decide; only reads. Raises AppError to refuse."""

    def succeed(self, answer: Any) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # whoever asked may be gone; that is no fault


class Flush(Command):
    """Apply what the projection lags behind; the writer itself carries it out."""

    __slots__ = ()

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        return Plan()


class Refresh(Command):
    """Let the room in memory follow its log; the writer itself carries it out."""

    __slots__ = ()

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        return Plan()


def digest_of(cmd: msgspec.Struct) -> bytes:
    """16 bytes of BLAKE2b over kind and canonical JSON: tells a retry from a reuse."""
    name = type(cmd).__name__.encode()
    return hashlib.blake2b(name + canonical(cmd), digest_size=DIGEST_BYTES).digest()


def check_client_id(client_id: str, now_ms: int, dedup_days: int) -> None:
    """Refuse what the server would have forgotten, or cannot date.

    Raises:
        Invalid: not a UUIDv7, or dated outside the window; `data.now` is the server's clock.
    """
    dated = uuid7_time_ms(client_id)
    if dated is None:
        text = "client_id must be a UUIDv7, dated by the server's clock."
    elif dated > now_ms + AHEAD_MS or dated < now_ms - dedup_days * DAY_MS:
        text = "client_id is dated too far from the server's clock: make a new one."
    else:
        return
    raise Invalid(text, field="client_id", data={"now": now_ms})


@dataclass(slots=True)
class Drafter:
    """Numbers the events of one append."""

    state: RoomState
    ids: Ids
    now_ms: int
    head: Seq = field(init=False)
    n: int = field(init=False)

    def __post_init__(self) -> None:
        self.head = self.state.head
        self.n = self.state.n

    def draft(
        self,
        kind: EventType,
        by: tuple[str, str],
        content: msgspec.Raw,
        *,
        client_id: str | None = None,
        target_seq: int | None = None,
        reply_to: int | None = None,
        thread_seq: int | None = None,
        mentions: Mentions | None = None,
        expires_at: int | None = None,
    ) -> Event:
        """The next event. `by`: user id and device id."""
        self.head = Seq(self.head + 1)
        if kind == "message" and thread_seq is None:
            self.n += 1
        return Event(
            self.state.room_id, self.state.log_id, self.head,
            EventId(self.ids.new(self.now_ms)), self.now_ms, kind,
            by[0], by[1], content, client_id,  # type: ignore[arg-type]
            target_seq, reply_to, thread_seq, mentions, (), expires_at, None, self.n,  # type: ignore[arg-type]
        )  # fmt: skip


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode(value))


def stored_answer(event: Event) -> Stored:
    return Stored(event.seq, event.id, event.at)


def stored_mentions(asked: Mention | msgspec.UnsetType) -> Mentions | None:
    if isinstance(asked, msgspec.UnsetType) or not (asked.user_ids or asked.room):
        return None
    return Mentions(tuple(dict.fromkeys(asked.user_ids)), asked.room)


async def visible_message(
    state: RoomState, member: MemberRow, seq: int, *, desk: Desk, name: str
) -> Event:
    """The message `seq`, as a target.

    Raises:
        NotFound: there is none that this member sees. Invalid: the event is no message.
    """
    found: Event | None = None
    if state.first_visible(member) <= seq <= state.head:
        found = (await desk.store.log.rows(state.room_id, [Seq(seq)])).get(Seq(seq))
    if found is None:
        raise NotFound("There is no such message in this room.", field=name)
    if found.type != "message":
        raise Invalid("This event is not a message.", field=name)
    return found


def check_not_gone(event: Event, now_ms: int) -> None:
    if event.gone is not None or (event.expires_at is not None and event.expires_at <= now_ms):
        raise Conflict("This message has no content any more.", field="seq")


def check_rank(member: MemberRow, *allowed: str) -> None:
    if member.role not in allowed:
        raise Forbidden("Only the owner and admins of the room may do this.")
