"""Rows of the log as SQLite keeps them, and back. A row's key is room key << 32 | seq."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import apsw
import msgspec

from server.kernel.ids import LogId, RoomId, Seq, UserId
from storage.api import Claim, Event, EventType, Gone, Mentions

TYPES: tuple[EventType, ...] = (
    "message", "edit", "delete", "reaction", "member", "room", "call", "mls",
)  # fmt: skip
"""Their numbers on disk: added to at the end only. The indexes know 0 (message) and 1 (edit)."""

GONE: tuple[Gone, ...] = ("deleted", "expired", "erased")
TYPE_NUMBER = {name: number for number, name in enumerate(TYPES)}
GONE_NUMBER = {name: number for number, name in enumerate(GONE)}

SEQ_BITS = 32
SEQ_MASK = (1 << SEQ_BITS) - 1

EVENT_COLUMNS = (
    "pos, type, at, n, id, sender_id, device_id, client_id, content, target_pos, reply_to, "
    "thread_seq, mentions, file_ids, expires_at, gone"
)
_mentions = msgspec.json.Decoder(Mentions)
_file_ids = msgspec.json.Decoder(tuple[str, ...])


def event_row(room: int, event: Event, turns: bool) -> tuple[Any, ...]:
    """`turns`: one of this and the row before is a message, the other is not."""
    base = room << SEQ_BITS
    content = event.content
    return (
        base | event.seq,
        TYPE_NUMBER[event.type],
        event.at,
        event.n,
        event.id,
        event.sender_id,
        event.device_id,
        event.client_id,
        str(content, "utf-8") if isinstance(content, msgspec.Raw) else None,
        None if event.target_seq is None else base | event.target_seq,
        event.reply_to,
        event.thread_seq,
        None if event.mentions is None else msgspec.json.encode(event.mentions).decode(),
        msgspec.json.encode(event.file_ids).decode() if event.file_ids else None,
        event.expires_at,
        None if event.gone is None else GONE_NUMBER[event.gone],
        1 if turns else None,
    )


def event_of(row: Sequence[Any], room_id: RoomId, log_id: LogId) -> Event:
    content, mentions, file_ids, gone = row[8], row[12], row[13], row[15]
    return Event(
        room_id=room_id,
        log_id=log_id,
        seq=Seq(row[0] & SEQ_MASK),
        id=row[4],
        at=row[2],
        type=TYPES[row[1]],
        sender_id=row[5],
        device_id=row[6],
        content=None if content is None else msgspec.Raw(content.encode()),
        client_id=row[7],
        target_seq=None if row[9] is None else Seq(row[9] & SEQ_MASK),
        reply_to=row[10],
        thread_seq=row[11],
        mentions=None if mentions is None else _mentions.decode(mentions),
        file_ids=() if file_ids is None else _file_ids.decode(file_ids),
        expires_at=row[14],
        gone=None if gone is None else GONE[gone],
        n=row[3],
    )


CLAIM_SELECT = """
    SELECT c.room, c.sender_id, c.client_id, c.seq, hex(c.digest), c.at
    FROM json_each(?) j CROSS JOIN claims c
    ON c.client_id = j.value ->> 0 AND c.room = j.value ->> 1 AND c.sender_id = j.value ->> 2"""
"""Its parameter: a JSON list of [client_id, room key, sender_id]."""


def claim_of(row: Sequence[Any]) -> Claim:
    return Claim(UserId(row[1]), row[2], Seq(row[3]), bytes.fromhex(row[4]), row[5])


class Insert:
    """Inserts many rows by few steps: the interpreter lock changes hands once for 128 rows."""

    SIZES = (128, 32, 8, 1)

    def __init__(self, into: str, width: int, then: str = "") -> None:
        marks = "(" + ",".join("?" * width) + ")"
        self._texts = {n: f"{into} VALUES {','.join([marks] * n)} {then}" for n in self.SIZES}

    def run(self, connection: apsw.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        start = 0
        for size in self.SIZES:
            while len(rows) - start >= size:
                values = tuple(chain.from_iterable(rows[start : start + size]))
                connection.execute(self._texts[size], values)
                start += size


INSERT_EVENTS = Insert(f"INSERT INTO events ({EVENT_COLUMNS}, turns)", 17)
INSERT_CLAIMS = Insert("INSERT INTO claims (client_id, room, sender_id, seq, digest, at)", 6)
INSERT_APPLIED = Insert("INSERT OR REPLACE INTO applied (room, seq)", 2)
INSERT_MENTIONS = Insert("INSERT OR IGNORE INTO mentions (room, user_id, seq, sender_id)", 4)
INSERT_FACTS = Insert("INSERT INTO outbox (grp, fact)", 2)
INSERT_RECEIPTS = Insert(
    "INSERT INTO receipts (room, user_id, read_seq, delivered_seq)",
    4,
    "ON CONFLICT (room, user_id) DO UPDATE SET read_seq = max(read_seq, excluded.read_seq), "
    "delivered_seq = max(delivered_seq, excluded.delivered_seq)",
)
