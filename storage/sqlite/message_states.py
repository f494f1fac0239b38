"""The state of messages as of the head, for those that differ from as sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import apsw
import msgspec

from server.kernel.ids import Seq, UserId
from storage.api import MessageState, Reaction, ThreadSummary
from storage.sqlite.connection import ask, listed
from storage.sqlite.rows import GONE, SEQ_BITS, SEQ_MASK

EDITS = """SELECT e.pos, e.content, e.edited_seq FROM json_each(?) j
    CROSS JOIN edits e ON e.pos = j.value"""
GONES = "SELECT g.pos, g.gone FROM json_each(?) j CROSS JOIN gone g ON g.pos = j.value"
REACTIONS = """SELECT r.pos, r.emoji, count(*), max(r.user_id = ?2)
    FROM json_each(?1) j CROSS JOIN reactions r ON r.pos = j.value
    GROUP BY r.pos, r.emoji ORDER BY r.pos, min(r.event_seq), r.emoji"""
THREADS = """SELECT r.pos, count(*), max(r.seq) FROM json_each(?) j
    CROSS JOIN replies r ON r.pos = j.value GROUP BY r.pos"""


def message_states(
    db: apsw.Connection, room: int, seqs: Collection[Seq], viewer: UserId
) -> dict[Seq, MessageState]:
    keys = listed(room << SEQ_BITS | seq for seq in set(seqs))
    found: dict[Seq, dict[str, Any]] = {}

    def of(pos: int) -> dict[str, Any]:
        return found.setdefault(Seq(pos & SEQ_MASK), {})

    for pos, content, edited_seq in ask(db, EDITS, (keys,)):
        of(pos).update(content=msgspec.Raw(content.encode()), edited_seq=edited_seq)
    for pos, gone in ask(db, GONES, (keys,)):
        of(pos).update(gone=GONE[gone])
    for pos, emoji, count, mine in ask(db, REACTIONS, (keys, viewer)):
        of(pos).setdefault("reactions", []).append(Reaction(emoji, count, bool(mine)))
    for pos, count, last_seq in ask(db, THREADS, (keys,)):
        of(pos).update(thread=ThreadSummary(count, last_seq))
    for state in found.values():
        state["reactions"] = tuple(state.get("reactions", ()))
    return {seq: MessageState(**state) for seq, state in found.items()}
