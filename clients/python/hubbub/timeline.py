"""One room's log as a client hears it, without I/O: every event once, ascending, holes closed.

Live events may come before the answer to `sync`, twice, or with a hole before them; a page of
history may overlap what came live. `Timeline` takes both and gives out what is next, or says which
page it needs (`wants`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hubbub.models import Event, Gap, Page, Reset, RoomEvent, SyncedRoom

Output: TypeAlias = RoomEvent | Gap | Reset

HELD_MOST = 1000
"""Events that wait behind a hole; later ones are dropped and fetched with the hole's page."""


class Timeline:
    """`seq` is the last event given out; None: nothing known yet, the first thing heard decides."""

    def __init__(self, room_id: str, log_id: str | None = None, seq: int | None = None) -> None:
        self.room_id = room_id
        self.log_id = log_id
        self.seq = seq
        self._held: dict[int, Event] = {}
        self._of_new_log: list[Event] = []
        self._waiting = False
        self._behind = False
        self._loose = False

    @property
    def wants(self) -> bool:
        """True: fetch the page after `seq` and hand it to `page`."""
        return not self._waiting and (self._behind or bool(self._held))

    def wait(self) -> None:
        """A new connection: what it brings is held until `synced`."""
        self._waiting = True

    def start(self, log_id: str, head: int) -> None:
        """The room is new to us: what came before `head` is history, not news."""
        if self.seq is None:
            self.log_id = log_id
            self.seq = min([head, *(seq - 1 for seq in self._held)])

    def joined(self, log_id: str, head: int) -> None:
        """One just came into the room: the first live event may still be older than `head`."""
        if self.seq is None:
            self.log_id, self.seq, self._loose = log_id, head, True

    def go_on(self) -> list[Output]:
        """No `sync` answer will name the room: give out what is held."""
        self._waiting = False
        return self._release()

    def missed(self, head: int) -> None:
        """The log is known to reach `head`."""
        if self.seq is not None and head > self.seq:
            self._behind = True

    def live(self, event: Event) -> list[Output]:
        """An event that came by itself."""
        if self.log_id is None:
            self.log_id = event.log_id
        if event.log_id != self.log_id:
            self._of_new_log.append(event)
            self._behind = True
            return []
        if self.seq is None and not self._waiting:
            self.seq = event.seq - 1
        if self._loose and self.seq is not None:
            self._loose, self.seq = False, min(self.seq, event.seq - 1)
        self._hold(event)
        return [] if self._waiting else self._release()

    def synced(self, answer: SyncedRoom) -> list[Output]:
        """The room's part of a `sync` answer."""
        self._waiting = False
        room, out = answer.room, list[Output]()
        if self.seq is None:
            self.start(room.log_id, room.head)
        elif answer.reset or room.log_id != self.log_id:
            return self._reset(room.log_id, room.head, answer.events)
        elif answer.gap is not None:
            out += self._skip(answer.gap.before)
        for event in answer.events:
            self._hold(event)
        out += self._release()
        self._behind = answer.more or (self.seq or 0) < room.head
        return out

    def page(self, page: Page) -> list[Output]:
        """The page after `seq` (GET .../events), or the newest one if the log is another."""
        if page.log_id != self.log_id:
            return self._reset(page.log_id, page.head, page.events)
        out: list[Output] = []
        if self.seq is not None and page.first_seq > self.seq + 1:
            out += self._skip(page.first_seq)
        for event in page.events:
            self._hold(event)
        out += self._release()
        self._behind = page.more
        return out

    def _hold(self, event: Event) -> None:
        if self.seq is not None and event.seq <= self.seq:
            return
        if len(self._held) < HELD_MOST or event.seq == (self.seq or 0) + 1:
            self._held[event.seq] = event
        else:
            self._behind = True

    def _release(self) -> list[Output]:
        out: list[Output] = []
        while self.seq is not None and (event := self._held.pop(self.seq + 1, None)) is not None:
            self.seq += 1
            out.append(RoomEvent(event))
        return out

    def _skip(self, before: int) -> list[Output]:
        if self.seq is None or before <= self.seq + 1:
            return []
        gap = Gap(self.room_id, self.seq, before)
        self.seq = before - 1
        self._held = {seq: event for seq, event in self._held.items() if seq >= before}
        return [gap]

    def _reset(self, log_id: str, head: int, events: Sequence[Event]) -> list[Output]:
        self.log_id = log_id
        self.seq = events[0].seq - 1 if events else head
        came_live = [event for event in self._of_new_log if event.log_id == log_id]
        self._held = {e.seq: e for e in (*events, *came_live) if e.seq > self.seq}
        self._of_new_log.clear()
        self._behind = False
        return [Reset(self.room_id, log_id), *self._release()]
