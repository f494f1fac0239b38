"""Reading the log: history pages and `sync`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from server.chat.shapes import (
    EventQuery,
    Gap,
    HistoryPage,
    Known,
    ListedEvent,
    RoomView,
    Sync,
    Synced,
    SyncedRoom,
)
from server.chat.state import RoomState
from server.chat.views import fit_page, listed_event, shown_event
from server.kernel.errors import Invalid
from server.kernel.ids import RoomId, Seq, UserId
from storage.api import Event, MemberRow, Store

MAX_BYTES = 262_144
MAX_ROOMS = 500
ROOM_BYTES = 4_096
"""Left in an answer, less than this is not worth beginning another room with events."""


async def read_history(
    store: Store, state: RoomState, member: MemberRow, query: EventQuery, *, now_ms: int
) -> HistoryPage:
    """A page of what the member may see (PROTOCOL section 5, "Paging"). Raises Invalid."""
    if not isinstance(query.after, UnsetType) and not isinstance(query.before, UnsetType):
        raise Invalid("Name after or before, not both.", field="before")
    head, first = state.head, state.first_visible(member)
    newest = isinstance(query.after, UnsetType)
    after = 0 if isinstance(query.after, UnsetType) else query.after
    before = head + 1 if isinstance(query.before, UnsetType) else min(query.before, head + 1)
    listed = query.view == "messages"
    rows, more = await store.log.read(
        state.room_id,
        after=Seq(max(after, first - 1)),
        before=Seq(before),
        limit=query.limit,
        newest=newest,
        messages=listed,
        max_bytes=MAX_BYTES,
    )
    events = await _listed(store, state.room_id, rows, member.user_id, listed=listed, now_ms=now_ms)
    kept, _ = fit_page(events, MAX_BYTES - 512, newest=newest)
    return HistoryPage(state.log_id, head, first, kept, more or len(kept) < len(events))


async def _listed(
    store: Store,
    room_id: RoomId,
    rows: Sequence[Event],
    viewer: UserId,
    *,
    listed: bool,
    now_ms: int,
) -> list[ListedEvent]:
    seqs = [event.seq for event in rows] if listed else []
    states = await store.projections.states(room_id, seqs, viewer) if seqs else {}
    return [
        listed_event(shown_event(event, viewer, now_ms), states.get(event.seq), with_state=listed)
        for event in rows
    ]


@dataclass(slots=True)
class Budget:
    """Bytes left in one answer."""

    left: int = MAX_BYTES - 1_024


async def sync_rooms(
    store: Store,
    views: Sequence[RoomView],
    cmd: Sync,
    *,
    viewer: UserId,
    joined: set[RoomId],
    now_ms: int,
) -> Synced:
    """One answer of `sync` for `views`: the user's rooms after `cmd.after`, by id."""
    removed = [room_id for room_id in cmd.rooms if room_id not in joined]
    budget = Budget()
    budget.left -= sum(len(room_id) + 3 for room_id in removed)
    rooms: list[SyncedRoom] = []
    last: str | UnsetType = cmd.after
    for view in views[:MAX_ROOMS]:
        known = cmd.rooms.get(view.id)
        size = len(msgspec.json.encode(view)) + 96
        wanted = size + (ROOM_BYTES if known is not None else 0)
        if rooms and budget.left < wanted:
            return Synced(rooms, removed, last)
        synced = await _room(store, view, known, cmd, budget=budget, viewer=viewer, now_ms=now_ms)
        last = view.id
        if synced is not None:
            budget.left -= size
            rooms.append(synced)
    return Synced(rooms, removed, last if len(views) > MAX_ROOMS else UNSET)


async def _room(
    store: Store,
    view: RoomView,
    known: Known | None,
    cmd: Sync,
    *,
    budget: Budget,
    viewer: UserId,
    now_ms: int,
) -> SyncedRoom | None:
    """None: left out by `changed_only`."""
    if known is None:
        return SyncedRoom(view, [], False)
    reset = known.log_id != view.log_id or known.seq > view.head
    if not reset and known.seq == view.head:
        return None if cmd.changed_only else SyncedRoom(view, [], False)
    start = 0 if reset else known.seq
    tail = reset or cmd.from_ == "tail"
    rows, more = await store.log.read(
        RoomId(view.id),
        after=Seq(max(start, view.first_seq - 1)),
        before=Seq(view.head + 1),
        limit=cmd.limit,
        newest=tail,
        max_bytes=max(1, budget.left),
    )
    shown = [shown_event(event, viewer, now_ms) for event in rows]
    events, size = fit_page(shown, budget.left, newest=tail)
    budget.left -= size
    more = bool(events) and not tail and (more or len(events) < len(shown))
    return SyncedRoom(view, events, more, reset, _gap(start, events, view))


def _gap(start: int, events: Sequence[Event], view: RoomView) -> Gap | UnsetType:
    """What lies between what he has and what he gets."""
    first = events[0].seq if events else view.head + 1
    return Gap(start, first) if first > start + 1 else UNSET


def lagging(views: Mapping[RoomId, RoomState | None], rows: Sequence[MemberRow]) -> list[RoomId]:
    """Rooms whose projection has not seen yet how far the user himself read by sending."""
    found = []
    for row in rows:
        state = views.get(row.room_id)
        live = None if state is None else state.members.get(row.user_id)
        if live is not None and live.read_seq > row.read_seq:
            found.append(row.room_id)
    return found
