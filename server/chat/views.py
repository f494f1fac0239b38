"""What members are shown: rooms as each has them, events without what is not theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET

from server.chat.shapes import ListedEvent, RoomView, StateView, UserView
from server.chat.state import RoomState
from server.kernel.ids import RoomId, UserId
from storage.api import (
    Event,
    LogHead,
    MemberRow,
    Membership,
    MessageState,
    Role,
    RoomRow,
    Store,
    UserRow,
)

_E = TypeVar("_E", bound=Event)


def view_room(
    row: RoomRow,
    head: LogHead,
    member: MemberRow | None,
    *,
    unread: int = 0,
    mentions: int = 0,
    member_count: int,
    peers: Sequence[str] = (),
) -> RoomView:
    """The `room` of PROTOCOL section 1 for `member`; None: one who looks at a public room."""
    first = head.first_seq
    if member is not None and row.history == "joined":
        first = max(first, member.joined_seq)
    return RoomView(
        row.id, row.kind, row.visibility, row.e2ee, row.history,
        head.log_id, head.head, first,
        0 if member is None else member.read_seq, unread, mentions, member_count, row.created_at,
        UNSET if member is None else member.role,
        UNSET if row.name is None else row.name,
        UNSET if row.topic is None else row.topic,
        tuple(peers) if row.kind == "direct" else UNSET,
    )  # fmt: skip


def head_of(state: RoomState) -> LogHead:
    return LogHead(state.log_id, state.head, state.first_seq, state.n)


async def view_memberships(
    store: Store, found: Sequence[Membership], heads: Mapping[RoomId, LogHead]
) -> list[RoomView]:
    """Rooms with their unread counts, in one read for all of them."""
    points = [(m.room.id, m.member.read_seq) for m in found]
    counts = await store.log.counts(points)
    return [
        view_room(
            m.room,
            heads[m.room.id],
            m.member,
            unread=max(0, heads[m.room.id].n - counts.get((m.room.id, m.member.read_seq), 0)),
            mentions=m.mentions,
            member_count=m.member_count,
            peers=m.peers,
        )
        for m in found
        if m.room.id in heads
    ]


def view_fresh(state: RoomState, event: Event, user_id: UserId, role: Role) -> RoomView:
    """A room as one has it whom the member event `event` let in."""
    member = MemberRow(state.room_id, user_id, role, event.seq, event.at, event.seq, event.seq)
    return view_room(
        state.row,
        head_of(state),
        member,
        unread=state.n - event.n,
        member_count=len(state.members),
        peers=sorted(state.members) if state.row.kind == "direct" else (),
    )


def shown_event(event: Event, viewer: UserId, now_ms: int) -> Event:
    """A row as `viewer` gets it: `client_id` for the sender only, expired content never."""
    expired = event.gone is None and event.expires_at is not None and event.expires_at <= now_ms
    return Event(
        event.room_id, event.log_id, event.seq, event.id, event.at, event.type,
        event.sender_id, event.device_id, None if expired else event.content,
        event.client_id if event.sender_id == viewer else None,
        event.target_seq, event.reply_to, event.thread_seq,
        None if expired else event.mentions, () if expired else event.file_ids,
        event.expires_at, "expired" if expired else event.gone,
    )  # fmt: skip


def listed_event(event: Event, state: MessageState | None, *, with_state: bool) -> ListedEvent:
    """A row of a page; `event` has been through `shown_event`."""
    view = _state_view(event, state or MessageState()) if with_state else UNSET
    return ListedEvent(
        event.room_id, event.log_id, event.seq, event.id, event.at, event.type,
        event.sender_id, event.device_id, event.content, event.client_id,
        event.target_seq, event.reply_to, event.thread_seq, event.mentions, event.file_ids,
        event.expires_at, event.gone, 0, view,
    )  # fmt: skip


def _state_view(event: Event, state: MessageState) -> StateView:
    thread = UNSET if state.thread is None else state.thread
    gone = event.gone or state.gone
    if gone is not None:
        return StateView(None, (), gone=gone, thread=thread)
    edited = state.edited_seq is not None
    return StateView(
        state.content if edited else event.content,
        state.reactions,
        edited_seq=UNSET if state.edited_seq is None else state.edited_seq,
        thread=thread,
    )


def fit_page(events: Sequence[_E], max_bytes: int, *, newest: bool) -> tuple[list[_E], int]:
    """The first (or, with `newest`, the last) events that fit in `max_bytes`, at least one.

    Returns them ascending, and their size encoded.
    """
    kept: list[_E] = []
    size = 0
    for event in reversed(events) if newest else events:
        size_of = len(msgspec.json.encode(event)) + 1
        if kept and size + size_of > max_bytes:
            break
        kept.append(event)
        size += size_of
    return (kept[::-1] if newest else kept), size


def show_user(row: UserRow) -> UserView:
    return UserView(row.id, row.username, row.display_name, row.avatar_file_id)
