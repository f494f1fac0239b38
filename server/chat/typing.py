"""Who is typing where: told to the others, never stored, over after 6 s."""

from __future__ import annotations

from server.kernel.clock import Clock
from server.kernel.ids import RoomId, UserId
from server.kernel.outlet import Outlet

TYPING_S = 6.0
REPEAT_S = 2.0
"""One who goes on typing is told again at most this often: receivers let it end after 6 s too."""


class Typing:
    """By room and user: when it ends, when it was told last."""

    def __init__(self, outlet: Outlet, clock: Clock) -> None:
        self._outlet = outlet
        self._clock = clock
        self._until: dict[tuple[RoomId, UserId], tuple[float, float]] = {}

    def set(self, room_id: RoomId, user_id: UserId, typing: bool) -> None:
        if not typing:
            self.stop(room_id, user_id)
            return
        now = self._clock.monotonic()
        _, told = self._until.pop((room_id, user_id), (0.0, -REPEAT_S))
        again = now - told >= REPEAT_S
        self._until[room_id, user_id] = (now + TYPING_S, now if again else told)
        if again:
            self._tell(room_id, user_id, True)

    def stop(self, room_id: RoomId, user_id: UserId) -> None:
        if self._until and self._until.pop((room_id, user_id), None) is not None:
            self._tell(room_id, user_id, False)

    def forget(self, room_id: RoomId, user_id: UserId) -> None:
        """He is out of the room: the others need not be told."""
        self._until.pop((room_id, user_id), None)

    def tick(self) -> None:
        """End what was not renewed."""
        now = self._clock.monotonic()
        for room_id, user_id in [k for k, (end, _) in self._until.items() if end <= now]:
            self.stop(room_id, user_id)

    def _tell(self, room_id: RoomId, user_id: UserId, typing: bool) -> None:
        payload = {"room_id": room_id, "user_id": user_id, "typing": typing}
        self._outlet.to_room(room_id, "room:typing", payload, without=user_id, ephemeral=True)
