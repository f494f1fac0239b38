"""Tells the sockets of this node one event of a room, and lets the room in memory follow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from server.chat.announce import Announcer, encoded_event
from server.chat.relay.frames import Stored
from server.chat.state import RoomState
from server.kernel.ids import RoomId, UserId
from storage.api import Event


@dataclass(frozen=True, slots=True)
class Teller:
    """`state`: the room as of its head, read if need be. `absorb`: an event that may be news to
    the room in memory.
    """

    announcer: Announcer
    state: Callable[[RoomId], Awaitable[RoomState]]
    absorb: Callable[[RoomId, Stored], None]

    def plain(self, room_id: RoomId, item: Stored) -> None:
        self.absorb(room_id, item)
        sender = UserId(item.sender_id)
        event = encoded_event(sender, item.client_id, item.own)
        self.announcer.plain(room_id, event, ends_typing=item.kind == "message")

    def event(self, state: RoomState, item: Stored) -> None:
        """A change of members or settings."""
        self.absorb(state.room_id, item)
        self.announcer.events(state, [item.event])

    def created(self, state: RoomState, events: Sequence[Event]) -> None:
        self.announcer.created(state, events)
