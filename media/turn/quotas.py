"""How much one user, and all together, may relay and hold."""

from __future__ import annotations

IDLE_USERS = 10_000
"""Users without an allocation that are remembered, so that a new one brings no new burst."""

KEYFRAME_BYTES = 125_000
"""A large one of video, that comes at once, with what else is sent meanwhile."""
PACKET_BYTES = 1_500


def burst_of(bytes_per_s: float) -> float:
    """What may pass at once: no second has more than the limit and this. A quarter of a second; of
    a slow limit up to half a second, as far as a keyframe needs it, and a packet in any case.
    """
    keyframe, packet = min(bytes_per_s / 2, KEYFRAME_BYTES), min(bytes_per_s, PACKET_BYTES)
    return max(bytes_per_s / 4, keyframe, packet)


class Meter:
    """A bucket of bytes that fills at `bps` and holds a burst; 0: no limit."""

    __slots__ = ("_at", "_burst", "_level", "bytes_per_s")

    def __init__(self, bps: int) -> None:
        self.bytes_per_s = bps / 8
        self._burst = self._level = burst_of(self.bytes_per_s)
        self._at = float("-inf")

    def may_relay(self, size: int, now: float) -> bool:
        """False: the packet is over the limit and nothing was taken."""
        rate = self.bytes_per_s
        if not rate:
            return True
        level = self._level + (now - self._at) * rate
        if level > self._burst:
            level = self._burst
        self._at = now
        if level < size:
            self._level = level
            return False
        self._level = level - size
        return True


class User:
    """What one user holds; shared by all allocations of his. `may_relay` asks his bucket, and the
    one of all where there is one.
    """

    __slots__ = ("_meter", "_total", "allocations", "may_relay", "user_id")

    def __init__(self, user_id: str, meter: Meter, total: Meter | None) -> None:
        self.user_id = user_id
        self.allocations = 0
        self._meter = meter
        self._total = total
        # Once for each packet: without a limit of all, straight to the user's own.
        self.may_relay = meter.may_relay if total is None else self._both

    def _both(self, size: int, now: float) -> bool:
        total = self._total
        return self._meter.may_relay(size, now) and (total is None or total.may_relay(size, now))


class Users:
    """Everybody with an allocation, and lately without one."""

    def __init__(self, *, user_bps: int, total_bps: int) -> None:
        self._user_bps = user_bps
        self._total = Meter(total_bps) if total_bps else None
        self._busy: dict[str, User] = {}
        self._idle: dict[str, User] = {}

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    def held_by(self, user_id: str) -> int:
        user = self._busy.get(user_id)
        return user.allocations if user is not None else 0

    def add(self, user_id: str) -> User:
        """Counts one allocation more."""
        user = self._busy.get(user_id) or self._idle.pop(user_id, None)
        if user is None:
            user = User(user_id, Meter(self._user_bps), self._total)
        self._busy[user_id] = user
        user.allocations += 1
        return user

    def release(self, user: User) -> None:
        user.allocations -= 1
        if user.allocations > 0:
            return
        del self._busy[user.user_id]
        self._idle[user.user_id] = user
        if len(self._idle) > IDLE_USERS:
            del self._idle[next(iter(self._idle))]
