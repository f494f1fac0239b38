"""A complete outlet without sockets underneath: remembers what each socket was sent, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.kernel.events import Context
from server.kernel.ids import RoomId, SessionId, SocketId, UserId
from server.kernel.outlet import RoomEvent


@dataclass
class FakeSocket:
    """`heard`: (event name, payload as decoded JSON)."""

    ctx: Context
    heard: list[tuple[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        return [payload for heard, payload in self.heard if heard == name]

    def events(self, room_id: str) -> list[Any]:
        return [event for event in self.named("room:event") if event["room_id"] == room_id]


class FakeOutlet:
    """Implements `server.kernel.outlet.Outlet`; rooms are joined by user, as the hub does it."""

    def __init__(self) -> None:
        self.sockets: dict[SocketId, FakeSocket] = {}
        self.rooms: dict[RoomId, set[UserId]] = {}
        self.ended: list[tuple[SessionId, str]] = []

    def open(self, ctx: Context, rooms: Iterable[RoomId]) -> FakeSocket:
        socket = self.sockets[ctx.socket_id] = FakeSocket(ctx)
        for room_id in rooms:
            self.join(ctx.user_id, room_id)
        return socket

    def close(self, socket_id: SocketId) -> None:
        self.sockets.pop(socket_id, None)

    def room_event(self, room_id: RoomId, event: RoomEvent) -> None:
        public, private = msgspec.json.decode(event.public), msgspec.json.decode(event.own)
        for socket in self._of(self.rooms.get(room_id, ())):
            mine = socket.ctx.user_id == event.sender
            socket.heard.append(("room:event", private if mine else public))

    def to_room(
        self,
        room_id: RoomId,
        name: str,
        payload: Any,
        *,
        without: UserId | None = None,
        ephemeral: bool = False,
    ) -> None:
        for socket in self._of(self.rooms.get(room_id, ())):
            if socket.ctx.user_id != without:
                socket.heard.append((name, _wire(payload)))

    def flush(self, room_id: RoomId) -> None:
        """Nothing ever waits here."""

    def to_users(
        self,
        user_ids: Iterable[UserId],
        name: str,
        payload: Any,
        *,
        ephemeral: bool = False,
        without: SocketId | None = None,
    ) -> None:
        for socket in self._of(set(user_ids)):
            if socket.ctx.socket_id != without:
                socket.heard.append((name, _wire(payload)))

    def to_socket(
        self, socket_id: SocketId, name: str, payload: Any, *, ephemeral: bool = False
    ) -> None:
        if socket_id in self.sockets:
            self.sockets[socket_id].heard.append((name, _wire(payload)))

    def join(self, user_id: UserId, room_id: RoomId) -> None:
        self.rooms.setdefault(room_id, set()).add(user_id)

    def leave(self, user_id: UserId, room_id: RoomId) -> None:
        self.rooms.get(room_id, set()).discard(user_id)

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        self.ended.extend((session_id, reason) for session_id in session_ids)

    def online(self, user_id: UserId) -> bool:
        return any(socket.ctx.user_id == user_id for socket in self.sockets.values())

    def _of(self, user_ids: Collection[UserId]) -> list[FakeSocket]:
        return [socket for socket in self.sockets.values() if socket.ctx.user_id in user_ids]


def _wire(payload: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(payload))
