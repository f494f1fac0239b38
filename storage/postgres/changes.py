"""Changes of a projection as `apply_v1` reads them: JSON, [[kind, ...], ...]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec

from server.kernel.ids import UserId
from storage.api import (
    Change,
    DropMember,
    DropReaction,
    MemberRow,
    PutEdit,
    PutGone,
    PutMember,
    PutMention,
    PutReaction,
    PutReceipt,
    PutReply,
    PutRoom,
    RoomRow,
)
from storage.postgres.rows import GONE_NUMBER


def written(changes: Sequence[Change]) -> str:
    """Receipts, those of new members too, come last, one for each user, in the order of their ids:
    they are maxima, and two processes that write those of a room never wait for each other.
    """
    steps: list[Sequence[Any]] = []
    receipts: dict[UserId, tuple[int, int]] = {}
    for change in changes:
        if not isinstance(change, PutReceipt):
            steps.append(_step(change))
        if isinstance(change, PutReceipt | PutMember):
            marks = change.member if isinstance(change, PutMember) else change
            read, delivered = receipts.get(marks.user_id, (0, 0))
            receipts[marks.user_id] = (
                max(read, marks.read_seq),
                max(delivered, marks.delivered_seq),
            )
    steps.extend(("receipt", user_id, *maxima) for user_id, maxima in sorted(receipts.items()))
    return msgspec.json.encode(steps).decode()


def _step(change: Change) -> Sequence[Any]:
    match change:
        case PutReceipt(user_id, read_seq, delivered_seq):
            return ("receipt", user_id, read_seq, delivered_seq)
        case PutMention(user_id, sender_id, seq):
            return ("mention", user_id, sender_id, seq)
        case PutRoom(row):
            return _room(row)
        case PutMember(member):
            return _member(member)
        case DropMember(user_id):
            return ("drop", user_id)
        case PutEdit(seq, content, edited_seq):
            return ("edit", seq, str(content, "utf-8"), edited_seq)
        case PutGone(seq, gone):
            return ("gone", seq, GONE_NUMBER[gone])
        case PutReaction(seq, user_id, emoji, event_seq):
            return ("react", seq, user_id, emoji, event_seq)
        case DropReaction(seq, user_id, emoji):
            return ("unreact", seq, user_id, emoji)
        case PutReply(thread_seq, seq):
            return ("reply", thread_seq, seq)
        case _:
            assert_never(change)


def _room(row: RoomRow) -> Sequence[Any]:
    return (
        "room", row.id, row.kind, row.visibility, row.history, row.e2ee, row.created_at,
        row.name, row.topic, (row.name or "").casefold(),
    )  # fmt: skip


def _member(member: MemberRow) -> Sequence[Any]:
    return (
        "member", member.user_id, member.role, member.joined_seq, member.joined_at,
    )  # fmt: skip
