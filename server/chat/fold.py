"""The pure fold: what each event of a room's log changes in the projections, and their rebuild."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import (
    Change,
    DropMember,
    DropReaction,
    Event,
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
    Store,
)

SYSTEM = UserId("system")
"""The sender of deletes that retention makes."""

PAGE = 500

Members = Mapping[UserId, MemberRow]


def fold(row: RoomRow | None, members: Members, event: Event) -> list[Change]:
    """What `event` changes in a room whose settings and members so far are `row` and `members`."""
    kind = event.type
    if kind == "message":
        return _message(event)
    if kind == "member":
        return _member(row, members, event)
    if kind == "room":
        return [PutRoom(_room(row, event))]
    target = event.target_seq
    if target is None or event.content is None:
        return []
    if kind == "edit":
        return _edit(event, target)
    if kind == "delete":
        return [PutGone(target, "erased" if event.sender_id == SYSTEM else "deleted")]
    if kind == "reaction":
        return [_reaction(event, target)]
    return []


def advance(members: MutableMapping[UserId, MemberRow], change: Change) -> RoomRow | None:
    """Let `members` follow a change; the room's settings come back when they are what changed."""
    if type(change) is PutReceipt:
        member = members.get(change.user_id)
        if member is not None:
            members[change.user_id] = with_receipt(member, change)
    elif type(change) is PutMember:
        new, old = change.member, members.get(change.member.user_id)
        if old is not None:
            new = msgspec.structs.replace(old, role=new.role)
        members[new.user_id] = new
    elif type(change) is DropMember:
        members.pop(change.user_id, None)
    elif type(change) is PutRoom:
        return change.room
    return None


def with_receipt(member: MemberRow, receipt: PutReceipt) -> MemberRow:
    return MemberRow(
        member.room_id,
        member.user_id,
        member.role,
        member.joined_seq,
        member.joined_at,
        max(member.read_seq, receipt.read_seq),
        max(member.delivered_seq, receipt.delivered_seq),
    )


def _message(event: Event) -> list[Change]:
    changes: list[Change] = [PutReceipt(event.sender_id, event.seq, event.seq)]
    if event.thread_seq is not None:
        changes.append(PutReply(event.thread_seq, event.seq))
    if event.gone is not None:
        changes.append(PutGone(event.seq, event.gone))
    elif event.mentions is not None:
        changes.extend(_mentions(event, event.seq))
    return changes


def _mentions(event: Event, seq: Seq) -> list[Change]:
    if event.mentions is None:
        return []
    names = [*dict.fromkeys(event.mentions.user_ids), *(["*"] if event.mentions.room else [])]
    return [PutMention(UserId(name), event.sender_id, seq) for name in names]


def _edit(event: Event, target: Seq) -> list[Change]:
    assert event.content is not None
    return [PutEdit(target, event.content, event.seq), *_mentions(event, target)]


def _reaction(event: Event, target: Seq) -> Change:
    content = _content(event)
    if content["op"] == "add":
        return PutReaction(target, event.sender_id, content["emoji"], event.seq)
    return DropReaction(target, event.sender_id, content["emoji"])


def _room(row: RoomRow | None, event: Event) -> RoomRow:
    changes = _content(event)["changes"]
    if row is not None:
        return msgspec.structs.replace(row, **changes)
    return RoomRow(id=event.room_id, created_at=event.at, **changes)


def _member(row: RoomRow | None, members: Members, event: Event) -> list[Change]:
    content = _content(event)
    user_id = UserId(content["user_id"])
    if content["change"] in ("left", "removed"):
        return [DropMember(user_id)]
    role = content.get("role", "member")
    if row is not None and row.kind == "broadcast" and role == "member":
        return [DropMember(user_id)]  # readers are subscriptions, not members by the log
    old = members.get(user_id)
    joined_seq = event.seq if old is None else old.joined_seq
    joined_at = event.at if old is None else old.joined_at
    member = MemberRow(event.room_id, user_id, role, joined_seq, joined_at, joined_seq, joined_seq)
    return [PutMember(member)]


def _content(event: Event) -> Any:
    assert event.content is not None
    return msgspec.json.decode(event.content)


async def rebuild(store: Store, progress: Callable[[RoomId, int, int], None] | None = None) -> int:
    """Remake every projection from the logs, while nothing else writes. Returns the events read.

    `progress(room_id, done, total)` is called after each page, counted in events of that room.
    """
    count = 0
    for room_id in await store.log.room_ids():
        count += await rebuild_room(store, room_id, progress)
    return count


async def rebuild_room(
    store: Store, room_id: RoomId, progress: Callable[[RoomId, int, int], None] | None = None
) -> int:
    await store.projections.clear(room_id)
    head = (await store.log.heads([room_id]))[room_id].head
    row: RoomRow | None = None
    members: dict[UserId, MemberRow] = {}
    gone: list[Change] = []
    at, count, more = Seq(0), 0, head > 0
    while more:
        events, more = await store.log.read(room_id, after=at, limit=PAGE)
        changes: list[Change] = []
        for event in events:
            folded = fold(row, members, event)
            for change in folded:
                row = advance(members, change) or row
            changes.extend(folded)
        gone.extend(change for change in changes if isinstance(change, PutGone))
        if not more:
            changes.extend(gone)  # reactions to what expired later must not come back
        to = events[-1].seq if events else head
        await store.projections.apply(room_id, from_seq=at, to_seq=to, changes=changes)
        at, count = to, count + len(events)
        if progress is not None:
            progress(room_id, at, head)
    return count
