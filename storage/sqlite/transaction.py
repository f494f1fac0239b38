"""What jobs do inside the writer's transaction: hot rows are gathered and inserted together.

All conditions of an append (head, claims) are decided here before anything is written, so a refusal
costs nothing and spoils nothing. Heads are kept from one transaction to the next; a rollback
forgets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import Batch, Claim, Gone, PutReceipt, Refused
from storage.sqlite.connection import Params, ask, listed
from storage.sqlite.rows import (
    CLAIM_SELECT,
    GONE_NUMBER,
    INSERT_APPLIED,
    INSERT_CLAIMS,
    INSERT_EVENTS,
    INSERT_FACTS,
    INSERT_MENTIONS,
    INSERT_RECEIPTS,
    SEQ_BITS,
    claim_of,
    event_row,
)

HEADS_KEPT = 100_000
"""Rooms whose head stays in memory (about 300 bytes each)."""

HEADS_SELECT = """
    SELECT r.room_id, r.key, r.log_id, r.first_seq,
           coalesce(e.pos & 4294967295, r.first_seq - 1), coalesce(e.n, r.base_n),
           coalesce(a.seq, 0), e.type = 0
    FROM json_each(?) j CROSS JOIN rooms r ON r.room_id = j.value
    LEFT JOIN applied a ON a.room = r.key
    LEFT JOIN events e ON e.pos = (
        SELECT pos FROM events WHERE pos BETWEEN r.key << 32 AND (r.key << 32) + 4294967295
        ORDER BY pos DESC LIMIT 1)"""

BLANK = (
    "UPDATE events SET content = NULL, mentions = NULL, file_ids = NULL, gone = ? "
    "WHERE pos = ? AND gone IS NULL"
)


@dataclass(slots=True)
class RoomHead:
    """`log_id` None: the room has a key but no log. `after_message`: the newest row is one."""

    key: int
    log_id: str | None
    first_seq: int
    head: int
    n: int
    applied: int
    after_message: bool | None


class NoLog(LookupError):
    """Raised before anything is gathered."""


class Transaction:
    """The writer's connection and what is gathered for it. `weight`: pages touched, about."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.weight = 0
        self.blanked = False
        self._heads: dict[RoomId, RoomHead] = {}
        self._claimed: dict[tuple[int, UserId, str], Claim] = {}
        self._events: list[tuple[Any, ...]] = []
        self._claims: list[tuple[Any, ...]] = []
        self._mentions: list[tuple[Any, ...]] = []
        self._applied: dict[int, int] = {}
        self._receipts: dict[tuple[int, str], tuple[int, int]] = {}
        self._facts: list[tuple[int, str]] = []

    # ---- around a group ---------------------------------------------------------------------

    def prepare(self, room_ids: set[RoomId], batches: Iterable[Batch]) -> None:
        """Read by two queries what the group's appends depend on: heads, and claims taken."""
        self._claimed.clear()
        missing = room_ids - self._heads.keys()
        if missing:
            self._load(missing)
        keys = [
            (claim.client_id, head.key, claim.sender_id)
            for batch in batches
            if batch.claims and (head := self._heads.get(batch.room_id)) is not None
            for claim in batch.claims
        ]
        if keys:
            for row in ask(self.connection, CLAIM_SELECT, (listed(keys),)):
                claim = claim_of(row)
                self._claimed[row[0], claim.sender_id, claim.client_id] = claim

    def flush(self) -> None:
        """Insert what was gathered."""
        if self._events:
            INSERT_EVENTS.run(self.connection, self._events)
            self._events.clear()
        if self._claims:
            INSERT_CLAIMS.run(self.connection, self._claims)
            self._claims.clear()
        if self._applied:
            INSERT_APPLIED.run(self.connection, tuple(self._applied.items()))
            self._applied.clear()
        if self._receipts:
            rows = tuple((*key, *values) for key, values in self._receipts.items())
            INSERT_RECEIPTS.run(self.connection, rows)
            self._receipts.clear()
        if self._mentions:
            INSERT_MENTIONS.run(self.connection, self._mentions)
            self._mentions.clear()
        if self._facts:
            INSERT_FACTS.run(self.connection, self._facts)
            self._facts.clear()

    def forget(self) -> None:
        """After a rollback: nothing gathered, nothing known."""
        for kept in (
            self._heads, self._claimed, self._events, self._claims,
            self._mentions, self._applied, self._receipts, self._facts,
        ):  # fmt: skip
            kept.clear()

    def take_weight(self) -> tuple[int, bool]:
        """About how many pages were written since last asked, and whether content was blanked."""
        weight, self.weight = self.weight, 0
        blanked, self.blanked = self.blanked, False
        return weight, blanked

    def trim(self) -> None:
        if len(self._heads) > HEADS_KEPT:
            self._heads.clear()

    # ---- for jobs ---------------------------------------------------------------------------

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run a statement after all that was gathered before it. Returns the rows it changed."""
        self.flush()
        self.weight += 2
        self.connection.execute(sql, params)
        return self.connection.changes()

    def ask(self, sql: str, params: Params = ()) -> list[Any]:
        self.flush()
        return ask(self.connection, sql, params)

    def head(self, room_id: RoomId) -> RoomHead | None:
        found = self._heads.get(room_id)
        if found is None:
            self.flush()
            self._load({room_id})
            found = self._heads.get(room_id)
        return found

    def key(self, room_id: RoomId) -> int:
        """The room's number on disk; it gets one if it has none."""
        head = self.head(room_id)
        if head is None:
            self.execute("INSERT INTO rooms (room_id) VALUES (?)", (room_id,))
            head = self.head(room_id)
            assert head is not None
        return head.key

    def forget_head(self, room_id: RoomId) -> None:
        self.flush()
        self._heads.pop(room_id, None)

    def forget_heads(self) -> None:
        self.flush()
        self._heads.clear()

    def append(self, batch: Batch) -> Refused | None:
        head = self.head(batch.room_id)
        if head is None or head.log_id is None:
            raise NoLog("the room has no log")
        taken = {
            (claim.sender_id, claim.client_id): there
            for claim in batch.claims
            if (there := self._claimed.get((head.key, claim.sender_id, claim.client_id)))
        }
        if taken or head.head != batch.if_head:
            return Refused(Seq(head.head), taken)
        for event in batch.events:
            is_message = event.type == "message"
            row = event_row(head.key, event, is_message != bool(head.after_message))
            head.after_message = is_message
            self._events.append(row)
            self.weight += 3 + len(row[8] or "") // 4096
        for claim in batch.claims:
            self._claimed[head.key, claim.sender_id, claim.client_id] = claim
            self._claims.append(
                (claim.client_id, head.key, claim.sender_id, claim.seq, claim.digest, claim.at)
            )
        if batch.events:
            last = batch.events[-1]
            head.head, head.n = last.seq, last.n
        if batch.blanks:
            self.blank(head.key, batch.blanks)
        return None

    def blank(self, room: int, blanks: Sequence[tuple[Seq, Gone]]) -> None:
        self.flush()
        self.blanked = True
        rows = ((GONE_NUMBER[gone], room << SEQ_BITS | seq) for seq, gone in blanks)
        self.connection.executemany(BLANK, rows)

    def mark_applied(self, head: RoomHead, seq: Seq) -> None:
        head.applied = self._applied[head.key] = seq

    def receive(self, room: int, receipt: PutReceipt) -> None:
        read, delivered = self._receipts.get((room, receipt.user_id), (0, 0))
        self._receipts[room, receipt.user_id] = (
            max(read, receipt.read_seq),
            max(delivered, receipt.delivered_seq),
        )

    def mention(self, room: int, user_id: UserId, seq: Seq, sender_id: UserId) -> None:
        self._mentions.append((room, user_id, seq, sender_id))

    def tell(self, rows: Sequence[tuple[int, str]]) -> None:
        """Put facts into the outbox: (group's key, fact)."""
        self.weight += len(rows)
        self._facts.extend(rows)

    def _load(self, room_ids: set[RoomId]) -> None:
        for row in ask(self.connection, HEADS_SELECT, (listed(room_ids),)):
            self._heads[row[0]] = RoomHead(*row[1:])
