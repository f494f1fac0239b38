"""The state of messages as of the head, for those that differ from as sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import MessageState, Reaction, ThreadSummary
from storage.postgres.connections import Connections
from storage.postgres.rows import GONE

STATES = """
    SELECT s.seq, e.content, e.edited_seq, g.gone, t.count, t.last, r.emojis, r.counts, r.mine
    FROM unnest($2::bigint[]) AS s (seq)
    LEFT JOIN edits e ON e.room_id = $1 AND e.seq = s.seq
    LEFT JOIN gone g ON g.room_id = $1 AND g.seq = s.seq
    LEFT JOIN LATERAL (
        SELECT count(*) AS count, max(p.seq) AS last FROM replies p
        WHERE p.room_id = $1 AND p.thread_seq = s.seq) t ON t.count > 0
    LEFT JOIN LATERAL (
        SELECT array_agg(x.emoji ORDER BY x.first, x.emoji) AS emojis,
            array_agg(x.count ORDER BY x.first, x.emoji) AS counts,
            array_agg(x.mine ORDER BY x.first, x.emoji) AS mine
        FROM (SELECT emoji, count(*) AS count, bool_or(user_id = $3) AS mine,
                min(event_seq) AS first
            FROM reactions WHERE room_id = $1 AND seq = s.seq GROUP BY emoji) x
    ) r ON r.emojis IS NOT NULL
    WHERE coalesce(e.seq, g.seq, t.last) IS NOT NULL OR r.emojis IS NOT NULL"""
"""All of it in one round trip, by the primary keys."""


async def message_states(
    connections: Connections, room_id: RoomId, seqs: Collection[Seq], viewer: UserId
) -> dict[Seq, MessageState]:
    if not seqs:
        return {}
    rows = await connections.fetch(STATES, room_id, [*set(seqs)], viewer)
    return {row[0]: _state(row) for row in rows}


def _state(row: Sequence[Any]) -> MessageState:
    _, content, edited_seq, gone, replies, last_seq, emojis, counts, mine = row
    return MessageState(
        content=None if content is None else msgspec.Raw(content.encode()),
        edited_seq=edited_seq,
        gone=None if gone is None else GONE[gone],
        reactions=tuple(map(Reaction, emojis or (), counts or (), mine or ())),
        thread=None if replies is None else ThreadSummary(replies, last_seq),
    )
