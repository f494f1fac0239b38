"""Which calls there are, by id, room and user, and when each wants to be looked at. No I/O."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from server.kernel.ids import RoomId, UserId
from signaling.call import Call
from signaling.inputs import Moment
from signaling.outputs import Output, Saved
from signaling.saving import save

ENDED_KEPT_S = 600.0
"""How long an ended call is known here; then it is read again when somebody asks for it."""
ENDED_KEPT = 10_000


class Register:
    """`done` after each change of a call; all else only reads."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self._rooms: dict[RoomId, str] = {}
        self._users: dict[UserId, set[str]] = {}
        self._indexed: dict[str, set[UserId]] = {}
        self._heap: list[tuple[float, str]] = []
        self._awaited: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._silent: list[str] = []
        """In order: many sockets come up between two calls that begin."""

    def __len__(self) -> int:
        """Calls that have not ended."""
        return len(self._rooms)

    def add(self, call: Call) -> None:
        self.calls[call.id] = call

    def add_ended(self, call: Call, now: Moment) -> None:
        """One that is over, and of which nothing is left to keep."""
        self.calls[call.id] = call
        self._ended[call.id] = now.s
        self._forget(now)

    def open(self) -> list[Call]:
        """Those that have not ended."""
        return [self.calls[call_id] for call_id in self._rooms.values()]

    def running(self, room_id: RoomId) -> Call | None:
        """The room's call; there is one at most."""
        call_id = self._rooms.get(room_id)
        return None if call_id is None else self.calls[call_id]

    def concerning(self, user_id: UserId) -> list[Call]:
        """Those that he is in, or was invited to; in the order they began, by their ids."""
        return [self.calls[call_id] for call_id in sorted(self._users.get(user_id, ()))]

    def joined(self, user_id: UserId) -> list[Call]:
        """Those that he is in."""
        return [call for call in self.concerning(user_id) if user_id in call.users]

    def silent(self) -> Iterator[Call]:
        """Those in rooms too large to ring, of whose members nothing is known; the newest first, by
        their ids.
        """
        return (self.calls[call_id] for call_id in reversed(self._silent))

    def done(self, call: Call, out: Sequence[Output], now: Moment) -> list[Output]:
        """`out` and what is to be kept of the call, with the indexes brought up to date."""
        concerned = call.concerned
        for user_id in self._indexed.get(call.id, set()) - concerned:
            self._users[user_id].discard(call.id)
            if not self._users[user_id]:
                del self._users[user_id]
        for user_id in concerned:
            self._users.setdefault(user_id, set()).add(call.id)
        if call.over:
            self._close(call, now)
        else:
            self._indexed[call.id] = concerned
            self._rooms[call.room_id] = call.id
            if not call.invited:
                self._add_silent(call.id)
            self._await(call)
        return [*out, Saved(save(call))]

    def due(self, now: Moment) -> list[Call]:
        """Calls whose deadline has come; `done` is called with each."""
        found = []
        while (when := self.next_deadline()) is not None and when <= now.s:
            _, call_id = heapq.heappop(self._heap)
            del self._awaited[call_id]
            found.append(self.calls[call_id])
        self._forget(now)
        return found

    def next_deadline(self) -> float | None:
        while self._heap and self._awaited.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def drop(self, call_id: str) -> None:
        """It is another node's now."""
        call = self.calls.pop(call_id, None)
        if call is None:
            return
        for user_id in self._indexed.pop(call_id, ()):
            self._users[user_id].discard(call_id)
        self._drop_silent(call_id)
        self._awaited.pop(call_id, None)
        self._ended.pop(call_id, None)
        if self._rooms.get(call.room_id) == call_id:
            del self._rooms[call.room_id]

    def _add_silent(self, call_id: str) -> None:
        at = bisect_left(self._silent, call_id)
        if self._silent[at : at + 1] != [call_id]:
            self._silent.insert(at, call_id)

    def _drop_silent(self, call_id: str) -> None:
        at = bisect_left(self._silent, call_id)
        if self._silent[at : at + 1] == [call_id]:
            del self._silent[at]

    def _await(self, call: Call) -> None:
        when = call.deadline()
        if when is None:
            self._awaited.pop(call.id, None)
        elif self._awaited.get(call.id) != when:
            self._awaited[call.id] = when
            heapq.heappush(self._heap, (when, call.id))

    def _close(self, call: Call, now: Moment) -> None:
        self._indexed.pop(call.id, None)
        self._drop_silent(call.id)
        self._awaited.pop(call.id, None)
        if self._rooms.get(call.room_id) == call.id:
            del self._rooms[call.room_id]
        self._ended.setdefault(call.id, now.s)
        self._forget(now)

    def _forget(self, now: Moment) -> None:
        while self._ended:
            call_id, ended = next(iter(self._ended.items()))
            if ended + ENDED_KEPT_S > now.s and len(self._ended) <= ENDED_KEPT:
                return
            del self._ended[call_id], self.calls[call_id]
