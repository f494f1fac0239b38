"""Presence without I/O: sockets, settings and what other nodes say go in (see `signals`), what
watchers and other nodes are to be told comes out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from server.kernel.ids import NodeId, SocketId, UserId
from server.presence.signals import (
    Active,
    Closed,
    Died,
    Dropped,
    Heard,
    Input,
    Keep,
    Level,
    Opened,
    Output,
    Read,
    Say,
    Set,
    Shown,
    Tell,
    Tick,
    Unwatched,
    Watched,
)
from storage.api import PresenceRow

TELL_EVERY_S = 1.0
"""Watchers hear of one user at most this often."""

LONG_AGO = float("-inf")
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Said:
    """Another node's word. Without a level it stays as long as the user, to tell old from new."""

    level: Level | None
    at_ms: int
    heard_at: float
    last_seen_at: int | None = None


@dataclass(slots=True)
class _User:
    """`gone_at`: when his last device anywhere went; `left`: when (and at what ms) the last one
    here did, until it is known who keeps his last-seen.
    """

    row: PresenceRow
    told: Shown
    sockets: dict[SocketId, float] = field(default_factory=dict)
    elsewhere: dict[NodeId, _Said] = field(default_factory=dict)
    watched: bool = False
    gone_at: float | None = LONG_AGO
    left: tuple[float, int] | None = None
    said: Level | None = None
    told_at: float = LONG_AGO
    wake_at: float = NEVER


class Presence:
    """See the module. One status of each user: his setting, else online > away > offline over the
    devices at all nodes.

    Args:
        node_id: this node in its cluster; None: there is no other.
    """

    def __init__(
        self, *, away_after_s: float, offline_after_s: float, node_id: NodeId | None = None
    ) -> None:
        self._away_after_s = away_after_s
        self._offline_after_s = offline_after_s
        self._node_id = node_id
        self._users: dict[UserId, _User] = {}
        self._heap: list[tuple[float, UserId]] = []
        self._steps: dict[type[Input], Callable[..., None]] = {
            Opened: self._opened,
            Active: self._active,
            Closed: self._closed,
            Set: self._set,
            Watched: self._watched,
            Unwatched: self._unwatched,
            Heard: self._heard,
            Read: self._read,
        }

    def __contains__(self, user_id: UserId) -> bool:
        return user_id in self._users

    def users(self) -> list[UserId]:
        return list(self._users)

    def row(self, user_id: UserId) -> PresenceRow | None:
        user = self._users.get(user_id)
        return None if user is None else user.row

    def here(self) -> list[UserId]:
        """Whom this node has devices of, as it told other nodes."""
        return [user_id for user_id, user in self._users.items() if user.said is not None]

    def level(self, user_id: UserId) -> Level | None:
        """What other nodes are to know now of our devices of the user."""
        user = self._users.get(user_id)
        return None if user is None else user.said

    def rows(self, at_ms: int) -> list[PresenceRow]:
        """What to keep when this node ends at `at_ms`: of all who are, or were last, here."""
        rows = []
        for user in self._users.values():
            if not (user.sockets or user.left) or any(s.level for s in user.elsewhere.values()):
                continue
            rows.append(_seen(user.row, at_ms) if user.sockets else user.row)
        return rows

    def told(self, user_id: UserId) -> Shown | None:
        """What watchers know, so that all of them hear of the next change; None: not known here,
        his stored row says it (`shown_away`).
        """
        user = self._users.get(user_id)
        return None if user is None else user.told

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def handle(self, event: Input, now: float) -> list[Output]:
        if isinstance(event, Tick):
            return self._tick(now)
        if isinstance(event, Died):
            return self._died(event, now)
        self._steps[type(event)](event, now)
        if isinstance(event, Active):
            user = self._users.get(event.user_id)
            if user is None or (
                user.told.status == "online" and (self._node_id is None or user.said == "online")
            ):
                return []  # the deadline that stands will find him active: nothing to settle now
        return self._settle(event.user_id, now)

    # ---- what comes in ---------------------------------------------------------------------------

    def _opened(self, event: Opened, now: float) -> None:
        user = self._known(event.user_id, event.row)
        user.sockets[event.socket_id] = now
        user.gone_at = user.left = None

    def _active(self, event: Active, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is not None and event.socket_id in user.sockets:
            user.sockets[event.socket_id] = now

    def _closed(self, event: Closed, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is None or user.sockets.pop(event.socket_id, None) is None or user.sockets:
            return
        user.left = (now, event.at_ms)
        user.row = _seen(user.row, event.at_ms)
        _count(user, now)

    def _set(self, event: Set, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is not None:
            user.row = event.row

    def _watched(self, event: Watched, now: float) -> None:
        is_new = event.user_id not in self._users
        user = self._known(event.user_id, event.row)
        user.watched = True
        self._read(event.read, now)
        if is_new:
            user.told = self._shown(user, now)  # whoever begins to watch is answered with it

    def _unwatched(self, event: Unwatched, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is not None:
            user.watched = False

    def _heard(self, event: Heard, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is None:
            return
        before = user.elsewhere.get(event.node_id)
        if before is not None and before.at_ms >= event.at_ms:
            return
        user.elsewhere[event.node_id] = _Said(event.level, event.at_ms, now, event.last_seen_at)
        if event.level is None and event.last_seen_at is not None:
            user.row = _seen(user.row, max(event.last_seen_at, user.row.last_seen_at or 0))
        _count(user, now)

    def _read(self, event: Read, now: float) -> None:
        user = self._users.get(event.user_id)
        if user is None:
            return
        for node_id, said in event.said.items():
            before = user.elsewhere.get(node_id)
            if before is None or before.at_ms < said.at:
                user.elsewhere[node_id] = _Said(said.status, said.at, now)
        if event.whole:
            for node_id, kept in list(user.elsewhere.items()):
                if node_id not in event.said and kept.heard_at < event.began:
                    del user.elsewhere[node_id]
        _count(user, now, waited_s=self._offline_after_s)

    def _died(self, event: Died, now: float) -> list[Output]:
        out: list[Output] = []
        for user_id, user in list(self._users.items()):
            dead = event.node_ids & user.elsewhere.keys()
            for node_id in dead:
                del user.elsewhere[node_id]
            if dead:
                _count(user, now, waited_s=self._offline_after_s)
                out.extend(self._settle(user_id, now))
        return out

    def _tick(self, now: float) -> list[Output]:
        out: list[Output] = []
        while self._heap and self._heap[0][0] <= now:
            at, user_id = heapq.heappop(self._heap)
            user = self._users.get(user_id)
            if user is not None and user.wake_at == at:
                user.wake_at = NEVER
                out.extend(self._settle(user_id, now))
        return out

    def _known(self, user_id: UserId, row: PresenceRow) -> _User:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(row, shown_away(row))
        return user

    # ---- what comes out --------------------------------------------------------------------------

    def _settle(self, user_id: UserId, now: float) -> list[Output]:
        """Tell what changed (not too often), forget who is gone, and plan the next look."""
        user = self._users.get(user_id)
        if user is None:
            return []
        out: list[Output] = []
        if self._node_id is not None:
            self._say(user_id, user, now, out)
        shown = self._shown(user, now)
        if shown != user.told and now - user.told_at >= TELL_EVERY_S:
            user.told, user.told_at = shown, now
            out.append(Tell(user_id, shown))
        self._keep(user, now, out)
        if self._needless(user, shown, now):
            del self._users[user_id]
            if self._node_id is not None:
                out.append(Dropped(user_id))
            return out
        self._plan(user_id, user, shown, now)
        return out

    def _say(self, user_id: UserId, user: _User, now: float, out: list[Output]) -> None:
        level = self._here(user, now)
        if level != user.said:
            user.said = level
            hidden = level is not None or user.row.status == "invisible"
            out.append(Say(user_id, level, None if hidden else user.row.last_seen_at))

    def _keep(self, user: _User, now: float, out: list[Output]) -> None:
        """The node that he left last keeps when; of those that he left at once only one."""
        if user.left is None:
            return
        left_at, left_ms = user.left
        if now - (left_at if user.gone_at is None else user.gone_at) < self._offline_after_s:
            return
        user.left = None
        mine = (left_ms, self._node_id or "")
        later = (
            said.heard_at >= left_at and (said.last_seen_at or 0, node_id) > mine
            for node_id, said in user.elsewhere.items()
        )
        if user.gone_at is not None and not any(later):
            out.append(Keep(user.row))

    def _needless(self, user: _User, shown: Shown, now: float) -> bool:
        if user.sockets or user.watched or user.left is not None:
            return False
        return self._node_id is not None or shown == user.told

    def _plan(self, user_id: UserId, user: _User, shown: Shown, now: float) -> None:
        times = []
        if shown != user.told:
            times.append(user.told_at + TELL_EVERY_S)
        if user.gone_at is not None:
            times.append(user.gone_at + self._offline_after_s)
        elif user.left is not None:
            times.append(user.left[0] + self._offline_after_s)
        if user.sockets and (shown.status == "online" or user.said == "online"):
            times.append(max(user.sockets.values()) + self._away_after_s)
        wake_at = min((at for at in times if at > now), default=NEVER)
        if wake_at < user.wake_at:
            user.wake_at = wake_at
            heapq.heappush(self._heap, (wake_at, user_id))

    def _shown(self, user: _User, now: float) -> Shown:
        row, gone_at = user.row, user.gone_at
        gone = gone_at is not None and now - gone_at >= self._offline_after_s
        if gone or row.status == "invisible":
            return shown_away(row)
        if row.status != "online":
            return Shown(row.status, row.text)
        if gone_at is not None:  # he may come back in a moment: as he was told
            return Shown("online" if user.told.status == "offline" else user.told.status, row.text)
        online = self._here(user, now) == "online" or any(
            said.level == "online" for said in user.elsewhere.values()
        )
        return Shown("online" if online else "away", row.text)

    def _here(self, user: _User, now: float) -> Level | None:
        if not user.sockets:
            return None
        return "online" if now - max(user.sockets.values()) < self._away_after_s else "away"


def _count(user: _User, now: float, waited_s: float = 0.0) -> None:
    """Whether any device is left. `waited_s`: how long ago the last one must have gone."""
    if user.sockets or any(said.level is not None for said in user.elsewhere.values()):
        user.gone_at = None
    elif user.gone_at is None:
        user.gone_at = now - waited_s


def shown_away(row: PresenceRow) -> Shown:
    """What others see of one without sockets, or who wants to look so."""
    return Shown("offline", None, row.last_seen_at)


def _seen(row: PresenceRow, at_ms: int) -> PresenceRow:
    if row.status == "invisible":
        return row
    return PresenceRow(row.user_id, row.status, row.text, at_ms)
