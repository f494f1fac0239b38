"""Who is where: the sockets of each user, and the sockets in each room. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from server.hub.session import Session
from server.kernel.ids import RoomId, SessionId, SocketId, UserId

_NOBODY: frozenset[Session] = frozenset()


class Present:
    """A user with at least one socket here, or one that is about to be.

    `rooms` is None while they are loaded for the first socket; joins and leaves of that time are
    kept in `changes` (True: joined) and win over what was loaded.
    """

    __slots__ = ("changes", "expected", "rooms", "sessions")

    def __init__(self) -> None:
        self.expected = 0
        self.sessions: list[Session] = []
        self.rooms: set[RoomId] | None = None
        self.changes: dict[RoomId, bool] | None = None


class Audience:
    """The index that fan-out reads. A session is in it from CONNECT's answer to its end."""

    def __init__(self) -> None:
        self.rooms: dict[RoomId, set[Session]] = {}
        self.users: dict[UserId, Present] = {}
        self._sockets: dict[SocketId, Session] = {}
        self._logins: dict[SessionId, tuple[Session, ...]] = {}

    def __len__(self) -> int:
        return len(self._sockets)

    # ---- users -----------------------------------------------------------------------------------

    def expect(self, user_id: UserId) -> Present:
        """A socket of the user is about to come: from now on joins and leaves are noted.

        Each call is paired with one of `came`.
        """
        present = self.users.get(user_id)
        if present is None:
            present = self.users[user_id] = Present()
        present.expected += 1
        return present

    def came(self, user_id: UserId) -> None:
        """The expected socket was added, or will not come."""
        present = self.users[user_id]
        present.expected -= 1
        self._forget(user_id, present)

    def _forget(self, user_id: UserId, present: Present) -> None:
        if not present.sessions and not present.expected:
            del self.users[user_id]
            for room_id in present.rooms or ():
                self._empty(room_id)

    def loaded(self, present: Present, rooms: Iterable[RoomId]) -> None:
        """The user's rooms as the store knew them at some moment since `expect`."""
        found = set(rooms)
        for room_id, joined in (present.changes or {}).items():
            (found.add if joined else found.discard)(room_id)
        present.rooms = found
        present.changes = None

    def sessions_of(self, user_id: UserId) -> Collection[Session]:
        present = self.users.get(user_id)
        return present.sessions if present is not None else ()

    # ---- rooms -----------------------------------------------------------------------------------

    def members(self, room_id: RoomId) -> Collection[Session]:
        return self.rooms.get(room_id, _NOBODY)

    def join(self, user_id: UserId, room_id: RoomId) -> None:
        present = self.users.get(user_id)
        if present is None:
            return
        if present.rooms is None:
            present.changes = present.changes or {}
            present.changes[room_id] = True
            return
        present.rooms.add(room_id)
        if present.sessions:
            self.rooms.setdefault(room_id, set()).update(present.sessions)

    def leave(self, user_id: UserId, room_id: RoomId) -> None:
        present = self.users.get(user_id)
        if present is None:
            return
        if present.rooms is None:
            present.changes = present.changes or {}
            present.changes[room_id] = False
            return
        present.rooms.discard(room_id)
        members = self.rooms.get(room_id)
        if members is not None:
            members.difference_update(present.sessions)
            self._empty(room_id)

    # ---- sockets ---------------------------------------------------------------------------------

    def named(self, session: Session) -> None:
        """The session's login is known: `end_sessions` finds it from now on, live or not."""
        assert session.ctx is not None
        login = session.ctx.session_id
        self._logins[login] = (*self._logins.get(login, ()), session)

    def add(self, session: Session) -> None:
        """The session is live: it gets what its user gets. The user's rooms must be loaded."""
        assert session.ctx is not None
        present = self.users[session.ctx.user_id]
        assert present.rooms is not None
        present.sessions.append(session)
        self._sockets[session.ctx.socket_id] = session
        for room_id in present.rooms:
            self.rooms.setdefault(room_id, set()).add(session)

    def remove(self, session: Session) -> None:
        """The session ended. Fine for one that never became live, and a second time."""
        ctx = session.ctx
        if ctx is None:
            return
        left = tuple(one for one in self._logins.get(ctx.session_id, ()) if one is not session)
        if left:
            self._logins[ctx.session_id] = left
        else:
            self._logins.pop(ctx.session_id, None)
        if self._sockets.pop(ctx.socket_id, None) is None:
            return
        present = self.users[ctx.user_id]
        present.sessions.remove(session)
        for room_id in present.rooms or ():
            self.rooms[room_id].discard(session)
        self._forget(ctx.user_id, present)

    def by_socket(self, socket_id: SocketId) -> Session | None:
        return self._sockets.get(socket_id)

    def by_login(self, session_id: SessionId) -> tuple[Session, ...]:
        return self._logins.get(session_id, ())

    def _empty(self, room_id: RoomId) -> None:
        if not self.rooms.get(room_id, True):
            del self.rooms[room_id]
