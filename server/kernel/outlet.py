"""The hub as the other parts see it: whom to tell what, and who is connected.

`server.hub` implements `Outlet`, `server.compose` hands it to chat, presence and accounts. All
methods are
plain calls: they queue bytes on bounded outboxes and never wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from server.kernel.events import Context
from server.kernel.ids import RoomId, SessionId, SocketId, UserId


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """An event's payload in JSON, encoded once for the whole cluster: `own` (with `client_id`) for
    the sender's sockets, `public` for all others. The same object where both are equal.
    """

    sender: UserId
    own: bytes
    public: bytes


class Outlet(Protocol):
    """Sends to sockets of this process (and, in a cluster, of the others).

    `payload` is a JSON-compatible dict or a msgspec Struct and is encoded once for all receivers.
    `ephemeral` packets (typing, presence, receipts) are the first to be dropped for a slow socket.
    """

    def room_event(self, room_id: RoomId, event: RoomEvent) -> None:
        """`room:event` to every socket of the room, called in the order of `seq`."""
        ...

    def to_room(
        self,
        room_id: RoomId,
        name: str,
        payload: Any,
        *,
        without: UserId | None = None,
        ephemeral: bool = False,
    ) -> None: ...

    def flush(self, room_id: RoomId) -> None:
        """What was sent to the room and waits for companions goes out now, at this node."""
        ...

    def to_users(
        self,
        user_ids: Iterable[UserId],
        name: str,
        payload: Any,
        *,
        ephemeral: bool = False,
        without: SocketId | None = None,
    ) -> None: ...

    def to_socket(
        self, socket_id: SocketId, name: str, payload: Any, *, ephemeral: bool = False
    ) -> None: ...

    def join(self, user_id: UserId, room_id: RoomId) -> None:
        """From now on the user's sockets get the room's events."""
        ...

    def leave(self, user_id: UserId, room_id: RoomId) -> None: ...

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        """`session:ended {reason}` to the sockets of these sessions, then close (within 1 s)."""
        ...

    def online(self, user_id: UserId) -> bool: ...


class SocketObserver(Protocol):
    """A part that follows sockets (chat gives rooms, presence keeps status). Bound by compose."""

    async def rooms_of(self, ctx: Context) -> Collection[RoomId]:
        """All rooms whose events the user's sockets get; called once for a user's first socket."""
        ...

    def opened(self, ctx: Context) -> None: ...

    def active(self, ctx: Context) -> None:
        """The socket sent an event (at most one call a second for each socket)."""
        ...

    def closed(self, ctx: Context) -> None: ...
