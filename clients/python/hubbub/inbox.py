"""What comes from the server, sorted into rooms: timelines, room settings, ephemeral news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from hubbub.calls.api import Calls
from hubbub.calls.shapes import CallChanged, CallRinging, CallSignal
from hubbub.journal import Journal
from hubbub.models import (
    Event,
    Item,
    Page,
    PresenceChanged,
    Receipt,
    RoomAdded,
    RoomEvent,
    RoomInfo,
    RoomRemoved,
    RoomUpdated,
    SessionEnded,
    SyncAnswer,
    Typing,
)
from hubbub.room import Room
from hubbub.timeline import Output, Timeline

if TYPE_CHECKING:
    from hubbub.client import Client

NAMED_MOST = 1000
"""Rooms named in one `sync`: about 120 bytes each, and a packet may have 256 KiB."""

_SHAPES: dict[str, type[Any]] = {
    "room:event": Event, "room:added": RoomAdded, "room:removed": RoomRemoved,
    "room:updated": RoomUpdated, "room:receipt": Receipt, "room:typing": Typing,
    "presence:changed": PresenceChanged, "session:ended": SessionEnded,
    "call:ringing": CallRinging, "call:state": CallChanged, "call:signal": CallSignal,
}  # fmt: skip
_DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in _SHAPES.items()}


class Inbox:
    """`lagging`: readers are behind, so room events are left to be fetched later."""

    backlog_most = 10_000

    def __init__(self, client: Client, journal: Journal, emit: Callable[[Item], None]) -> None:
        self._client = client
        self._journal = journal
        self._emit = emit
        self.rooms: dict[str, Room] = {}
        self.calls = Calls(client, emit)
        self.lagging = False
        self._holes = asyncio.Event()
        self._synced: set[str] = set()
        self._timelines = {
            room_id: Timeline(room_id, log_id, seq)
            for room_id, (log_id, seq) in journal.cursors().items()
        }

    def log_id(self, room_id: str) -> str | None:
        timeline = self._timelines.get(room_id)
        return None if timeline is None else timeline.log_id

    # ---- sync ----

    def line_opened(self) -> None:
        self._synced.clear()
        self.calls.line_opened()
        for timeline in self._timelines.values():
            timeline.wait()

    def sync_request(self, after: str | None) -> dict[str, Any]:
        named = sorted(
            room_id
            for room_id, timeline in self._timelines.items()
            if room_id not in self._synced and timeline.seq is not None
        )[:NAMED_MOST]
        rooms = {
            room_id: {
                "log_id": self._timelines[room_id].log_id,
                "seq": self._timelines[room_id].seq,
            }
            for room_id in named
        }
        return {"rooms": rooms, "limit": 500} | ({} if after is None else {"after": after})

    def sync_answer(self, answer: SyncAnswer) -> None:
        for synced in answer.rooms:
            room = synced.room
            self._synced.add(room.id)
            self.known(room)
            self._give_out(room.id, self._timeline(room.id).synced(synced))
        for room_id in answer.removed:
            self.forget(room_id, "removed")

    def sync_done(self) -> None:
        """Rooms that no answer named: what came live for them goes on."""
        for room_id in [room for room in self._timelines if room not in self._synced]:
            self._give_out(room_id, self._timelines[room_id].go_on())

    # ---- live ----

    def hear(self, name: str, payload: bytes) -> str | None:
        """Take one server event. Returns the reason if the session ends. Unknown: ignored."""
        decoder = _DECODERS.get(name)
        if decoder is None:
            return None
        match decoder.decode(payload):
            case Event() as event:
                self._event(event)
            case SessionEnded(reason=reason):
                return str(reason)
            case RoomAdded(room=room) as item:
                self._timeline(room.id).joined(room.log_id, room.head)
                self.known(room)
                self._emit(item)
            case RoomRemoved(room_id=room_id, reason=reason):
                self.forget(room_id, reason)
            case RoomUpdated(room=room) as item:
                self.known(room)
                self._emit(item)
            case Receipt() as item:
                self._mark(item)
                self._emit(item)
            case CallRinging() | CallChanged() | CallSignal() as item:
                if self.calls.hear(item):
                    self._emit(item)
            case item:
                self._emit(item)
        return None

    def known(self, info: RoomInfo) -> Room:
        room = self.rooms.get(info.id)
        if room is None:
            room = self.rooms[info.id] = Room(self._client, info)
        elif info.log_id != room.info.log_id or info.head >= room.info.head:
            room.info = info
        return room

    def forget(self, room_id: str, reason: str) -> None:
        self._timelines.pop(room_id, None)
        self._journal.drop_cursor(room_id)
        if self.rooms.pop(room_id, None) is not None:
            self._emit(RoomRemoved(room_id, reason))

    # ---- holes ----

    def wanted(self) -> list[tuple[str, int]]:
        """Pages to fetch: (room, after)."""
        if self.lagging:
            return []
        return [
            (room_id, timeline.seq or 0)
            for room_id, timeline in self._timelines.items()
            if timeline.wants
        ]

    def page(self, room_id: str, page: Page) -> None:
        timeline = self._timelines.get(room_id)
        if timeline is not None:
            self._give_out(room_id, timeline.page(page))

    async def wait_for_holes(self, timeout_s: float | None) -> None:
        try:
            await asyncio.wait_for(self._holes.wait(), timeout_s)
        except TimeoutError:
            return
        self._holes.clear()

    def _event(self, event: Event) -> None:
        timeline = self._timeline(event.room_id)
        if self.lagging:
            timeline.missed(event.seq)
            return
        self._give_out(event.room_id, timeline.live(event))

    def _timeline(self, room_id: str) -> Timeline:
        if room_id not in self._timelines:
            self._timelines[room_id] = Timeline(room_id)
        return self._timelines[room_id]

    def _give_out(self, room_id: str, outputs: Iterable[Output]) -> None:
        timeline = self._timelines[room_id]
        for output in outputs:
            if isinstance(output, RoomEvent):
                self._advance(output.event)
            self._emit(output)
        if timeline.log_id is not None and timeline.seq is not None:
            self._journal.keep_cursor(room_id, timeline.log_id, timeline.seq)
        if timeline.wants:
            self._holes.set()

    def _advance(self, event: Event) -> None:
        room = self.rooms.get(event.room_id)
        if room is None or event.seq <= room.info.head:
            return
        unread = room.info.unread
        if event.sender_id == self._client.me.id and event.type == "message":
            unread = 0
        elif event.type == "message" and event.thread_seq is None:
            unread += 1
        room.info = msgspec.structs.replace(room.info, head=event.seq, unread=unread)

    def _mark(self, receipt: Receipt) -> None:
        room = self.rooms.get(receipt.room_id)
        if room is None or receipt.user_id != self._client.me.id:
            return
        unread = 0 if receipt.read_seq >= room.info.head else room.info.unread
        room.info = msgspec.structs.replace(
            room.info, read_seq=max(receipt.read_seq, room.info.read_seq), unread=unread
        )
