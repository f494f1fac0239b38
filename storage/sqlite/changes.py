"""How each change of a projection is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from server.kernel.ids import RoomId, Seq
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
from storage.sqlite.rows import GONE_NUMBER, SEQ_BITS
from storage.sqlite.transaction import Transaction


def apply_changes(
    tx: Transaction, room_id: RoomId, from_seq: Seq, to_seq: Seq, changes: Sequence[Change]
) -> Seq:
    """`Projections.apply` inside the writer's transaction."""
    head = tx.head(room_id)
    at, end = (0, 0) if head is None else (head.applied, head.head)
    if head is not None and head.log_id is None:
        end = 0
    if at != from_seq or end < to_seq:
        return Seq(at)
    room = tx.key(room_id)
    for change in changes:
        write_change(tx, room, change)
    head = tx.head(room_id)
    assert head is not None
    tx.mark_applied(head, to_seq)
    return to_seq


def write_change(tx: Transaction, room: int, change: Change) -> None:
    base = room << SEQ_BITS
    match change:
        case PutReceipt():
            tx.receive(room, change)
        case PutMention(user_id, sender_id, seq):
            tx.mention(room, user_id, seq, sender_id)
        case PutRoom(row):
            _put_room(tx, room, row)
        case PutMember(member):
            _put_member(tx, room, member)
        case DropMember(user_id):
            tx.execute("DELETE FROM members WHERE room = ? AND user_id = ?", (room, user_id))
        case PutEdit(seq, content, edited_seq):
            tx.execute(PUT_EDIT, (base | seq, str(content, "utf-8"), edited_seq))
        case PutGone(seq, gone):
            _put_gone(tx, room, seq, GONE_NUMBER[gone])
        case PutReaction(seq, user_id, emoji, event_seq):
            tx.execute(PUT_REACTION, (base | seq, user_id, emoji, event_seq))
        case DropReaction(seq, user_id, emoji):
            tx.execute(DROP_REACTION, (base | seq, user_id, emoji))
        case PutReply(thread_seq, seq):
            sql = "INSERT OR IGNORE INTO replies (pos, seq) VALUES (?, ?)"
            tx.execute(sql, (base | thread_seq, seq))
        case _:
            assert_never(change)


PUT_EDIT = """INSERT INTO edits (pos, content, edited_seq) VALUES (?, ?, ?)
    ON CONFLICT (pos) DO UPDATE SET content = excluded.content, edited_seq = excluded.edited_seq
    WHERE excluded.edited_seq > edited_seq"""
PUT_REACTION = (
    "INSERT OR REPLACE INTO reactions (pos, user_id, emoji, event_seq) VALUES (?, ?, ?, ?)"
)
DROP_REACTION = "DELETE FROM reactions WHERE pos = ? AND user_id = ? AND emoji = ?"
PUT_MEMBER = """INSERT INTO members (room, user_id, role, joined_seq, joined_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (room, user_id) DO UPDATE SET role = excluded.role"""
PUT_READER = """INSERT INTO readers (room, user_id, role, joined_seq, joined_at)
    SELECT ?1, ?2, ?3, ?4, ?5
    WHERE NOT EXISTS (SELECT 1 FROM people WHERE room = ?1 AND user_id = ?2)"""


def clear_room(tx: Transaction, room_id: RoomId) -> None:
    """Forget what is derived; receipts and readers stay."""
    room = tx.key(room_id)
    for table in ("applied", "room_rows", "members", "mentions"):
        tx.execute(f"DELETE FROM {table} WHERE room = ?", (room,))
    for table in ("edits", "gone", "reactions", "replies"):
        span = (room << SEQ_BITS, room + 1 << SEQ_BITS)
        tx.execute(f"DELETE FROM {table} WHERE pos >= ? AND pos < ?", span)
    tx.blanked = True
    tx.forget_head(room_id)


def subscribe(tx: Transaction, member: MemberRow) -> bool:
    room = tx.key(member.room_id)
    added = tx.execute(PUT_READER, _member_values(room, member)) == 1
    if added:
        tx.receive(room, PutReceipt(member.user_id, member.read_seq, member.delivered_seq))
    return added


def _put_room(tx: Transaction, room: int, row: RoomRow) -> None:
    tx.execute(
        "INSERT OR REPLACE INTO room_rows (room, id, kind, visibility, history, e2ee, created_at, "
        "name, topic, folded_name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            room, row.id, row.kind, row.visibility, row.history, row.e2ee, row.created_at,
            row.name, row.topic, (row.name or "").casefold(),
        ),
    )  # fmt: skip


def _put_member(tx: Transaction, room: int, member: MemberRow) -> None:
    """A later member event ends a subscription; an older one (folded again) does not."""
    tx.execute(
        "DELETE FROM readers WHERE room = ? AND user_id = ? AND joined_seq < ?",
        (room, member.user_id, member.joined_seq),
    )
    tx.execute(PUT_MEMBER, _member_values(room, member))
    tx.receive(room, PutReceipt(member.user_id, member.read_seq, member.delivered_seq))


def _member_values(room: int, member: MemberRow) -> tuple[int | str, ...]:
    return (room, member.user_id, member.role, member.joined_seq, member.joined_at)


def _put_gone(tx: Transaction, room: int, seq: Seq, gone: int) -> None:
    pos = room << SEQ_BITS | seq
    tx.blanked = True
    tx.execute("INSERT OR REPLACE INTO gone (pos, gone) VALUES (?, ?)", (pos, gone))
    tx.execute("DELETE FROM edits WHERE pos = ?", (pos,))
    tx.execute("DELETE FROM reactions WHERE pos = ?", (pos,))
    tx.execute("DELETE FROM mentions WHERE room = ? AND seq = ?", (room, seq))
