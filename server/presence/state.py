"""Presence without I/O: sockets and settings go in, what watchers are to be told comes out.

Times are monotonic seconds, except `last_seen_at` (ms since the Unix epoch).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from server.kernel.ids import DeviceId, SocketId, UserId
from storage.api import PresenceRow

Status = Literal["online", "away", "busy", "invisible", "offline"]
TELL_EVERY_S = 1.0
"""Watchers hear of one user at most this often."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket. `row`: the user's settings as stored (they count only if he is not known yet)."""

    user_id: UserId
    device_id: DeviceId
    socket_id: SocketId
    row: PresenceRow


@dataclass(frozen=True, slots=True)
class Active:
    user_id: UserId
    socket_id: SocketId


@dataclass(frozen=True, slots=True)
class Closed:
    user_id: UserId
    socket_id: SocketId
    at_ms: int


@dataclass(frozen=True, slots=True)
class Set:
    user_id: UserId
    row: PresenceRow


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline passed."""


Input = Opened | Active | Closed | Set | Tick


@dataclass(frozen=True, slots=True)
class Shown:
    """What others see."""

    status: Status
    text: str | None = None
    last_seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    user_id: UserId
    shown: Shown


@dataclass(frozen=True, slots=True)
class Keep:
    """Store this: the user went, or nobody needs him in memory any more."""

    row: PresenceRow


Output = Tell | Keep


@dataclass(slots=True)
class _User:
    row: PresenceRow
    told: Shown
    sockets: dict[SocketId, float] = field(default_factory=dict)
    gone_at: float | None = None
    told_at: float = float("-inf")
    wake_at: float = float("inf")


class Presence:
    """See the module. One status of each user: his setting, else online > away > offline."""

    def __init__(self, *, away_after_s: float, offline_after_s: float) -> None:
        self._away_after_s = away_after_s
        self._offline_after_s = offline_after_s
        self._users: dict[UserId, _User] = {}
        self._heap: list[tuple[float, UserId]] = []
        self._steps: dict[type[Input], Callable[..., None]] = {
            Opened: self._opened,
            Active: self._active,
            Closed: self._closed,
            Set: self._set,
        }

    def __contains__(self, user_id: UserId) -> bool:
        return user_id in self._users

    def row(self, user_id: UserId) -> PresenceRow | None:
        user = self._users.get(user_id)
        return None if user is None else user.row

    def rows(self, at_ms: int) -> list[PresenceRow]:
        """Everybody's row if all went at `at_ms`: what to keep when the server ends."""
        return [
            user.row
            if user.row.status == "invisible" or not user.sockets
            else _seen(user.row, at_ms)
            for user in self._users.values()
        ]

    def shown(self, user_id: UserId, now: float) -> Shown | None:
        """What others see now; None: he has no socket, his stored row says it (`shown_away`)."""
        user = self._users.get(user_id)
        return None if user is None else self._shown(user, now)

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def handle(self, event: Input, now: float) -> list[Output]:
        if isinstance(event, Tick):
            return self._tick(now)
        self._steps[type(event)](event, now)
        if isinstance(event, Active):
            user = self._users.get(event.user_id)
            if user is None or user.told.status == "online":
                return []  # the deadline that stands will find him active: nothing to settle now
        return self._settle(event.user_id, now)

    def _opened(self, event: Opened, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is None:
            user = self._users[event.user_id] = _User(event.row, shown_away(event.row))
        user.sockets[event.socket_id] = now
        user.gone_at = None

    def _active(self, event: Active, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is not None and event.socket_id in user.sockets:
            user.sockets[event.socket_id] = now

    def _closed(self, event: Closed, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is None or user.sockets.pop(event.socket_id, None) is None or user.sockets:
            return
        user.gone_at = now
        if user.row.status != "invisible":
            user.row = _seen(user.row, event.at_ms)

    def _set(self, event: Set, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is not None:
            user.row = event.row

    def _tick(self, now: float) -> list[Output]:
        out: list[Output] = []
        while self._heap and self._heap[0][0] <= now:
            at, user_id = heapq.heappop(self._heap)
            user = self._users.get(user_id)
            if user is not None and user.wake_at == at:
                user.wake_at = float("inf")
                out.extend(self._settle(user_id, now))
        return out

    def _settle(self, user_id: UserId, now: float) -> list[Output]:
        """Tell what changed (not too often), forget who is gone, and plan the next look."""
        user = self._users.get(user_id)
        if user is None:
            return []
        out: list[Output] = []
        shown = self._shown(user, now)
        may_tell = now - user.told_at >= TELL_EVERY_S
        if shown != user.told and may_tell:
            user.told, user.told_at = shown, now
            out.append(Tell(user_id, shown))
        gone = user.gone_at is not None and now - user.gone_at >= self._offline_after_s
        if gone and shown == user.told:
            del self._users[user_id]
            out.append(Keep(user.row))
            return out
        self._plan(user_id, user, shown, now)
        return out

    def _plan(self, user_id: UserId, user: _User, shown: Shown, now: float) -> None:
        times = []
        if shown != user.told:
            times.append(user.told_at + TELL_EVERY_S)
        if user.gone_at is not None:
            times.append(user.gone_at + self._offline_after_s)
        elif shown.status == "online":
            times.append(max(user.sockets.values()) + self._away_after_s)
        wake_at = min(times, default=float("inf"))
        if wake_at < user.wake_at:
            user.wake_at = wake_at
            heapq.heappush(self._heap, (wake_at, user_id))

    def _shown(self, user: _User, now: float) -> Shown:
        there = bool(user.sockets)
        if user.gone_at is not None:
            there = now - user.gone_at < self._offline_after_s
        if not there or user.row.status == "invisible":
            return shown_away(user.row)
        if user.row.status != "online":
            return Shown(user.row.status, user.row.text)
        idle = [now - at for at in user.sockets.values()]
        if user.gone_at is not None and user.told.status != "offline":
            return replace(user.told, text=user.row.text)
        online = min(idle, default=0.0) < self._away_after_s
        return Shown("online" if online else "away", user.row.text)


def shown_away(row: PresenceRow) -> Shown:
    """What others see of one without sockets, or who wants to look so."""
    return Shown("offline", None, row.last_seen_at)


def _seen(row: PresenceRow, at_ms: int) -> PresenceRow:
    return PresenceRow(row.user_id, row.status, row.text, at_ms)
