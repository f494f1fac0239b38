"""Rows of the log as PostgreSQL keeps them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from server.kernel.ids import RoomId
from storage.api import Claim, Event, EventType, Gone, Mentions

TYPES: tuple[EventType, ...] = (
    "message", "edit", "delete", "reaction", "member", "room", "call", "mls",
)  # fmt: skip
"""Their numbers in the database: added to at the end only. Indexes know 0 and 1."""

GONE: tuple[Gone, ...] = ("deleted", "expired", "erased")
TYPE_NUMBER = {name: number for number, name in enumerate(TYPES)}
GONE_NUMBER = {name: number for number, name in enumerate(GONE)}

EVENT_COLUMNS = (
    "e.seq, e.id, e.at, e.type, e.sender_id, e.device_id, e.content, e.client_id, e.target_seq, "
    "e.reply_to, e.thread_seq, e.mentions, e.file_ids, e.expires_at, e.gone, e.n"
)
EVENT_TYPES = (
    "int", "bigint", "smallint", "bigint", "bigint", "text", "text", "text", "text", "bytea",
    "bytea", "bigint", "bigint", "bigint", "text", "text", "bigint", "smallint",
)  # fmt: skip
"""Of the e_ parameters of `append_v1`, which are arrays of these."""

_mentions = msgspec.json.Decoder(Mentions)
_file_ids = msgspec.json.Decoder(tuple[str, ...])


def event_values(batch: int, event: Event, digest: bytes | None) -> tuple[Any, ...]:
    """What `append_v1` takes for it, in the order of its e_ parameters."""
    content, mentions, gone = event.content, event.mentions, event.gone
    return (
        batch,
        event.seq,
        TYPE_NUMBER[event.type],
        event.at,
        event.n,
        event.id,
        event.sender_id,
        event.device_id,
        event.client_id,
        content if isinstance(content, msgspec.Raw) else None,
        digest,
        event.target_seq,
        event.reply_to,
        event.thread_seq,
        None if mentions is None else msgspec.json.encode(mentions).decode(),
        msgspec.json.encode(event.file_ids).decode() if event.file_ids else None,
        event.expires_at,
        None if gone is None else GONE_NUMBER[gone],
    )


def event_of(row: Sequence[Any], room_id: RoomId) -> Event:
    """`row`: the log's id, then EVENT_COLUMNS."""
    (
        log_id, seq, id, at, type, sender_id, device_id, content, client_id, target_seq, reply_to,
        thread_seq, mentions, file_ids, expires_at, gone, n,
    ) = row[:17]  # fmt: skip
    return Event(
        room_id,
        log_id,
        seq,
        id,
        at,
        TYPES[type],
        sender_id,
        device_id,
        None if content is None else msgspec.Raw(content),
        client_id,
        target_seq,
        reply_to,
        thread_seq,
        None if mentions is None else _mentions.decode(mentions),
        () if file_ids is None else _file_ids.decode(file_ids),
        expires_at,
        None if gone is None else GONE[gone],
        n,
    )


def claim_of(row: Sequence[Any]) -> Claim:
    """`row`: sender_id, client_id, seq, digest, at."""
    return Claim(*row)
