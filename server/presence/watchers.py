"""Which sockets watch whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from server.kernel.ids import SocketId, UserId

RECHECK_S = 120.0
"""Who shares no room any more with whom he watches hears nothing after this time."""


class Watchers:
    """Each socket watches one set of users."""

    def __init__(self) -> None:
        self._watched: dict[SocketId, frozenset[UserId]] = {}
        self._watchers: dict[UserId, set[SocketId]] = {}
        self._checked: dict[SocketId, float] = {}

    def __contains__(self, user_id: UserId) -> bool:
        return user_id in self._watchers

    def of(self, user_id: UserId) -> Collection[SocketId]:
        return self._watchers.get(user_id, ())

    def by(self, socket_id: SocketId) -> frozenset[UserId]:
        return self._watched.get(socket_id, frozenset())

    def put(self, socket_id: SocketId, user_ids: Iterable[UserId], now: float) -> list[UserId]:
        """The socket watches these instead of those before. Returns whom nobody watches now."""
        before, after = self.by(socket_id), frozenset(user_ids)
        self._checked.pop(socket_id, None)
        if after:
            self._watched[socket_id] = after
            self._checked[socket_id] = now
        else:
            self._watched.pop(socket_id, None)
        for user_id in after - before:
            self._watchers.setdefault(user_id, set()).add(socket_id)
        return [i for i in before - after if self._unwatch(i, socket_id)]

    def unchecked(self, now: float, limit: int) -> list[SocketId]:
        """Up to `limit` sockets whose right to watch is to be looked at again."""
        due: list[SocketId] = []
        for socket_id, at in self._checked.items():
            if len(due) == limit or now - at < RECHECK_S:
                break
            due.append(socket_id)
        for socket_id in due:
            del self._checked[socket_id]
            self._checked[socket_id] = now
        return due

    def _unwatch(self, user_id: UserId, socket_id: SocketId) -> bool:
        sockets = self._watchers[user_id]
        sockets.discard(socket_id)
        if sockets:
            return False
        del self._watchers[user_id]
        return True
