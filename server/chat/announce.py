"""What sockets hear of what was stored, in the order of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from server.chat.shapes import RoomView
from server.chat.state import RoomState
from server.chat.typing import Typing
from server.chat.views import view_fresh
from server.kernel.ids import RoomId, UserId
from server.kernel.json import encode
from server.kernel.outlet import Outlet, RoomEvent
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

    def plain(self, room_id: RoomId, event: RoomEvent, *, ends_typing: bool) -> None:
        """An event that changes neither members nor settings, encoded already."""
        if ends_typing:
            self._typing.stop(room_id, event.sender)
        self._outlet.room_event(room_id, event)

    def event(self, event: Event) -> None:
        self._outlet.room_event(event.room_id, encode_event(event))

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
        user_id, change, _ = member_change(event)
        if change in ("joined", "added"):
            self._let_in(state, event)
        self.event(event)
        if change in ("left", "removed"):
            self.went(state, user_id, change)
        elif change == "role" or state.broadcast:
            self._on_updated(state.room_id, user_id)

    def _let_in(self, state: RoomState, event: Event) -> None:
        user_id, _, role = member_change(event)
        self.came(user_id, view_fresh(state, event, user_id, role))
        self._outlet.join(user_id, state.room_id)


def encode_event(event: Event) -> RoomEvent:
    """The two forms on the wire from one encoding."""
    return encoded_event(event.sender_id, event.client_id, encode_own(event))


def encode_own(event: Event) -> bytes:
    """For its sender: without `n`, the last member."""
    own = encode(event)
    return own[: own.rindex(b',"n":')] + b"}" if event.n else own


def encoded_event(sender_id: UserId, client_id: str | None, own: bytes) -> RoomEvent:
    """`own` as it was encoded, perhaps by another node; to others it goes without `client_id`,
    which stands before everything that a client wrote.
    """
    if client_id is None:
        return RoomEvent(sender_id, own, own)
    public = own.replace(b',"client_id":"%b"' % client_id.encode(), b"", 1)
    return RoomEvent(sender_id, own, public)


def member_change(event: Event) -> tuple[UserId, str, Role]:
    """Of a member event: who, what, and his role."""
    assert event.content is not None
    content = msgspec.json.decode(event.content)
    return UserId(content["user_id"]), content["change"], content.get("role", "member")
