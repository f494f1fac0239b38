"""The agent of one media process: many connections behind few sockets, found by name and by path.

A stranger leaves no trace and gets no answer: a check counts with the right name and the right
integrity only, anything else from a path that a session has proved.
"""

from __future__ import annotations

import heapq
from itertools import count

from media.ice.checks import Credentials, answer_to, named_in, refusal_of
from media.ice.outputs import Dropped, Output, Path, Send
from media.ice.session import Route, Session
from media.wire.stun import BINDING, REQUEST, SUCCESS, Malformed, Message, parse

SESSIONS = 20_000
TAKEN_S = 6.0
"""A path that was heard of within this time stays with its session. Longer than `PROBE_S`: the
answers to our checks keep a living one.
"""


class NameTaken(ValueError):
    """The ufrag belongs to a session, or there are as many sessions as there may be."""


class Lite:
    """`handle` what arrived, `tick` at `next_deadline`, tell what `heard_media`."""

    def __init__(self, *, sessions: int = SESSIONS) -> None:
        self._limit = sessions
        self._sessions: dict[str, Session] = {}
        self._by_ufrag: dict[str, Session] = {}
        self._by_path: dict[Path, Route] = {}
        self._due: list[tuple[float, int, Session]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def paths(self) -> int:
        return len(self._by_path)

    def open(
        self, connection: str, local: Credentials, remote: Credentials | None, now: float
    ) -> None:
        """Checks for `local` are answered from now on; `remote` may come later (`know`).

        Raises:
            NameTaken: see there.
        """
        full = len(self._sessions) >= self._limit
        if full or local.ufrag in self._by_ufrag or connection in self._sessions:
            raise NameTaken(connection)
        session = Session(connection, local, remote, opened_at=now)
        self._sessions[connection] = self._by_ufrag[local.ufrag] = session

    def know(self, connection: str, remote: Credentials) -> None:
        """The peer's credentials, from its answer."""
        session = self._sessions.get(connection)
        if session is not None:
            session.remote = remote

    def restart(self, connection: str, local: Credentials, remote: Credentials | None) -> None:
        """ICE restart: the old credentials count until the first check with the new ones.

        Raises:
            NameTaken: see there.
        """
        session = self._sessions.get(connection)
        if session is None:
            return
        if local.ufrag in self._by_ufrag:
            raise NameTaken(connection)
        if session.older is not None:
            self._by_ufrag.pop(session.older.ufrag, None)
        session.restart(local, remote)
        self._by_ufrag[local.ufrag] = session

    def close(self, connection: str) -> None:
        session = self._sessions.pop(connection, None)
        if session is None:
            return
        for credentials in (session.local, session.older):
            if credentials is not None:
                self._by_ufrag.pop(credentials.ufrag, None)
        for path in session.routes:
            self._forget(path, session)
        session.selected = None

    def route(self, path: Path) -> Route | None:
        """Whose packets come from there. Anything but STUN counts only if the route is proved."""
        return self._by_path.get(path)

    def selected(self, connection: str) -> Path | None:
        session = self._sessions.get(connection)
        return session.selected.path if session and session.selected else None

    def proved(self, connection: str, path: Path) -> bool:
        session = self._sessions.get(connection)
        route = session.routes.get(path) if session else None
        return route is not None and route.proved

    def handle(self, data: bytes, path: Path, now: float) -> list[Output]:
        """One STUN datagram. What is for a TURN server comes here not at all."""
        message = parse(data)
        if isinstance(message, Malformed):
            return [Dropped(message.reason)]
        return self.handle_message(message, path, now)

    def handle_message(self, message: Message, path: Path, now: float) -> list[Output]:
        if message.method != BINDING:
            return [Dropped("method")]
        if message.kind == REQUEST:
            return self._request(message, path, now)
        return self._response(message, path, now)

    def heard_media(self, connection: str, path: Path, now: float) -> list[Output]:
        """An authentic packet arrived on a path that is not the selected one."""
        session = self._sessions.get(connection)
        if session is None:
            return []
        outputs = session.heard_media(path, now)
        outputs += self._remember(session, path)
        return self._scheduled(session, outputs, now)

    def path_gone(self, path: Path, now: float) -> list[Output]:
        """The TCP connection was closed."""
        route = self._by_path.pop(path, None)
        if route is None:
            return []
        return self._scheduled(route.session, route.session.gone(path), now)

    def tick(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        while self._due and self._due[0][0] <= now:
            _, _, session = heapq.heappop(self._due)
            session.scheduled = False
            if session.id in self._sessions and self._sessions[session.id] is session:
                outputs += self._scheduled(session, session.tick(now), now)
        return outputs

    def next_deadline(self) -> float | None:
        return self._due[0][0] if self._due else None

    def _request(self, message: Message, path: Path, now: float) -> list[Output]:
        found = self._asked(message)
        if isinstance(found, Dropped):
            return [found]
        session, ours = found
        if self._is_taken(path, session, now):
            return [Dropped("path_taken")]
        key = ours.password.encode()
        refusal = refusal_of(message, key)
        if refusal is not None:
            return [Send(path, refusal)]
        new = session.older is not None and ours is session.local
        if session.older is not None and new:
            self._by_ufrag.pop(session.older.ufrag, None)
            session.older = None
        outputs: list[Output] = [Send(path, answer_to(message, path[1], key))]
        outputs += session.checked(message, path, now, new=new)
        outputs += self._remember(session, path)
        return self._scheduled(session, outputs, now)

    def _asked(self, message: Message) -> tuple[Session, Credentials] | Dropped:
        """Whom an authentic request is for, and by which of our names."""
        names = named_in(message)
        if names is None:
            return Dropped("username")
        session = self._by_ufrag.get(names[0])
        if session is None:
            return Dropped("unknown_ufrag")
        ours = session.local
        if session.older is not None and session.older.ufrag == names[0]:
            ours = session.older
        elif session.remote is not None and session.remote.ufrag != names[1]:
            return Dropped("peer_ufrag")
        if not message.proves_sha1(ours.password.encode()):
            return Dropped("integrity")
        return session, ours

    def _response(self, message: Message, path: Path, now: float) -> list[Output]:
        route = self._by_path.get(path)
        if route is None:
            return [Dropped("unknown_path")]
        session = route.session
        if message.transaction not in session.probes or session.remote is None:
            return [Dropped("transaction")]
        if message.kind != SUCCESS or not message.proves_sha1(session.remote.password.encode()):
            return [Dropped("response")]
        outputs = session.answered(message.transaction, path, now)
        outputs += self._remember(session, path)
        return self._scheduled(session, outputs, now)

    def _is_taken(self, path: Path, session: Session, now: float) -> bool:
        """A request proves who made it, not that the address is his: without this, one peer could
        cut another's path by a forged source.
        """
        owner = self._by_path.get(path)
        if owner is None or owner.session is session:
            return False
        return owner.proved and now - owner.heard_at < TAKEN_S

    def _remember(self, session: Session, path: Path) -> list[Output]:
        """Brings the table up to date; outputs are those of a session that had the path before."""
        for gone in session.forgotten:
            self._forget(gone, session)
        session.forgotten.clear()
        route, owner = session.routes.get(path), self._by_path.get(path)
        if route is None or owner is route or (owner is not None and not route.proved):
            return []
        self._by_path[path] = route
        return owner.session.gone(path) if owner is not None else []

    def _forget(self, path: Path, session: Session) -> None:
        owner = self._by_path.get(path)
        if owner is not None and owner.session is session:
            del self._by_path[path]

    def _scheduled(self, session: Session, outputs: list[Output], now: float) -> list[Output]:
        """One entry for each session: it is looked at again then, whatever came meanwhile."""
        deadline = session.next_deadline()
        if deadline is not None and not session.scheduled:
            session.scheduled = True
            heapq.heappush(self._due, (max(deadline, now), next(self._order), session))
        return outputs
