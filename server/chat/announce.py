"""What sockets hear of what was stored, in the order of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from server.chat.shapes import RoomView
from server.chat.state import RoomState
from server.chat.typing import Typing
from server.chat.views import view_fresh
from server.kernel.ids import RoomId, UserId
from server.kernel.outlet import Outlet
from storage.api import Event, Role

OnUpdated = Callable[[RoomId, UserId | None], None]
"""The room changed for one member, or for all of them (None): tell `room:updated`."""


class Announcer:
    """Plain calls on the outlet; awaits nothing, so two events of a room cannot swap."""

    def __init__(self, outlet: Outlet, typing: Typing, on_updated: OnUpdated) -> None:
        self._outlet = outlet
        self._typing = typing
        self._on_updated = on_updated

    def events(self, state: RoomState, events: Sequence[Event]) -> None:
        for event in events:
            if event.type == "message":
                self._typing.stop(state.room_id, event.sender_id)
                self.event(event)
            elif event.type == "member":
                self._member(state, event)
            else:
                self.event(event)
                if event.type == "room":
                    self._on_updated(state.room_id, None)

    def created(self, state: RoomState, events: Sequence[Event]) -> None:
        """A new log: everybody is let in first, then hears all of it, its `room` event included."""
        for event in events:
            if event.type == "member":
                self._let_in(state, event)
        for event in events:
            self.event(event)

    def event(self, event: Event) -> None:
        own = Event(
            event.room_id, event.log_id, event.seq, event.id, event.at, event.type,
            event.sender_id, event.device_id, event.content, event.client_id,
            event.target_seq, event.reply_to, event.thread_seq, event.mentions, event.file_ids,
            event.expires_at, event.gone,
        )  # fmt: skip
        public = own
        if event.client_id is not None:
            public = Event(
                event.room_id, event.log_id, event.seq, event.id, event.at, event.type,
                event.sender_id, event.device_id, event.content, None,
                event.target_seq, event.reply_to, event.thread_seq, event.mentions, event.file_ids,
                event.expires_at, event.gone,
            )  # fmt: skip
        self._outlet.room_event(event.room_id, public, sender=event.sender_id, own=own)

    def came(self, user_id: UserId, room: RoomView) -> None:
        """`room:added` goes before the first event of the room."""
        self._outlet.to_users([user_id], "room:added", {"room": room})

    def went(self, state: RoomState, user_id: UserId, reason: str) -> None:
        """The last the user's sockets hear of the room."""
        self._typing.forget(state.room_id, user_id)
        payload = {"room_id": state.room_id, "reason": reason}
        self._outlet.to_users([user_id], "room:removed", payload)
        self._outlet.leave(user_id, state.room_id)

    def _member(self, state: RoomState, event: Event) -> None:
        user_id, change, _ = _read(event)
        if change in ("joined", "added"):
            self._let_in(state, event)
        self.event(event)
        if change in ("left", "removed"):
            self.went(state, user_id, change)
        elif change == "role" or state.broadcast:
            self._on_updated(state.room_id, user_id)

    def _let_in(self, state: RoomState, event: Event) -> None:
        user_id, _, role = _read(event)
        self.came(user_id, view_fresh(state, event, user_id, role))
        self._outlet.join(user_id, state.room_id)


def _read(event: Event) -> tuple[UserId, str, Role]:
    """Of a member event: who, what, and his role."""
    assert event.content is not None
    content = msgspec.json.decode(event.content)
    return UserId(content["user_id"]), content["change"], content.get("role", "member")
