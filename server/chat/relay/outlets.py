"""Two outlets of a node: one that only its own sockets hear, one that all nodes' sockets hear."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from server.chat.relay.frames import ToRoom, ToUser, pack
from server.kernel.ids import RoomId, SessionId, SocketId, UserId
from server.kernel.json import encode
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from storage.api import Fanout

OnMove = Callable[[UserId, RoomId], None]
EVERYBODY = "all"
"""The channel of the port "s" that every node hears."""

log = get_logger(__name__)


class LocalOutlet:
    """The hub's outlet; who is let into a room or out of it is told to the relay too."""

    def __init__(self, hub: Outlet, joined: OnMove, left: OnMove) -> None:
        self._hub = hub
        self._joined = joined
        self._left = left
        self.room_event = hub.room_event
        self.to_room = hub.to_room
        self.flush = hub.flush
        self.to_users = hub.to_users
        self.to_socket = hub.to_socket
        self.end_sessions = hub.end_sessions
        self.online = hub.online

    def join(self, user_id: UserId, room_id: RoomId) -> None:
        self._hub.join(user_id, room_id)
        self._joined(user_id, room_id)

    def leave(self, user_id: UserId, room_id: RoomId) -> None:
        self._hub.leave(user_id, room_id)
        self._left(user_id, room_id)


class EndedSessions(msgspec.Struct, frozen=True, array_like=True):
    session_ids: list[str]
    reason: str


def tell_ended(port: Fanout, session_ids: Collection[SessionId], reason: str) -> None:
    """Their sockets, wherever they are, are told and closed. `port`: that of the prefix "s"."""
    frame = EndedSessions(list(session_ids), reason)
    port.publish(EVERYBODY, msgspec.msgpack.encode(frame))


class WideOutlet:
    """`Outlet` over all nodes, for what is in no log. What is in a log goes by the relay."""

    def __init__(self, hub: Outlet, rooms: Fanout, users: Fanout, sessions: Fanout) -> None:
        self._hub = hub
        self._rooms = rooms
        self._users = users
        self._sessions = sessions
        self.on_ended: list[Callable[[Collection[SessionId]], None]] = []
        """Told which sessions another node ended."""
        self.room_event = hub.room_event
        self.flush = hub.flush
        self.to_socket = hub.to_socket
        self.join = hub.join
        self.leave = hub.leave
        self.online = hub.online
        sessions.listen(self._heard, lambda: None)

    async def start(self) -> None:
        await self._sessions.subscribe([EVERYBODY])

    def to_room(
        self,
        room_id: RoomId,
        name: str,
        payload: Any,
        *,
        without: UserId | None = None,
        ephemeral: bool = False,
    ) -> None:
        raw = msgspec.Raw(encode(payload))
        self._hub.to_room(room_id, name, raw, without=without, ephemeral=ephemeral)
        self._rooms.publish(room_id, pack(ToRoom(name, bytes(raw), without, ephemeral)))

    def to_users(
        self,
        user_ids: Iterable[UserId],
        name: str,
        payload: Any,
        *,
        ephemeral: bool = False,
        without: SocketId | None = None,
    ) -> None:
        ids = list(user_ids)
        raw = msgspec.Raw(encode(payload))
        self._hub.to_users(ids, name, raw, ephemeral=ephemeral, without=without)
        frame = pack(ToUser(name, bytes(raw), ephemeral))
        for user_id in ids:
            self._users.publish(user_id, frame)

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        self._hub.end_sessions(session_ids, reason)
        tell_ended(self._sessions, session_ids, reason)

    def _heard(self, channel: str, data: bytes) -> None:
        try:
            frame = msgspec.msgpack.decode(data, type=EndedSessions)
        except msgspec.DecodeError:
            log.warning("frame.unknown", channel=channel)
            return
        ids = [SessionId(session_id) for session_id in frame.session_ids]
        for tell in self.on_ended:
            tell(ids)
        self._hub.end_sessions(ids, frame.reason)
