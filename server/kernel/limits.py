"""How often somebody may do something, by key. Pure, bounded, no clock."""

from __future__ import annotations

from collections import deque


class Buckets:
    """One bucket for each key, full at first sight.

    Args:
        rate_per_s: tokens that come back each second; 0 (or less): no limit at all.
        burst: tokens in a full bucket (at least 1).
        max_keys: keys remembered; past it the one not asked for longest is forgotten. A forgotten
            key starts full again, so the bound costs exactness for strangers, never memory.
    """

    def __init__(self, rate_per_s: float, burst: float, *, max_keys: int = 100_000) -> None:
        self.rate_per_s = rate_per_s
        self.burst = max(1.0, burst)
        self._max_keys = max_keys
        self._levels: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str, now: float, cost: float = 1.0) -> float:
        """0.0 when allowed (the tokens are taken), else the seconds (> 0) until they are there.

        A refusal takes nothing. `now` is monotonic seconds; a `now` that went back gives nothing.
        """
        if self.rate_per_s <= 0:
            return 0.0
        level = self._level(key, now)
        missing = cost - level
        if missing > 1e-9:
            self._keep(key, level, now)
            return missing / self.rate_per_s
        self._keep(key, level - cost, now)
        return 0.0

    def wait(self, key: str, now: float, cost: float = 1.0) -> float:
        """What `take` would answer, without taking."""
        if self.rate_per_s <= 0:
            return 0.0
        missing = cost - self._level(key, now)
        return missing / self.rate_per_s if missing > 1e-9 else 0.0

    def give(self, key: str, now: float, cost: float = 1.0) -> None:
        """Put tokens back, for what turned out not to count."""
        if self.rate_per_s > 0 and key in self._levels:
            self._keep(key, min(self.burst, self._level(key, now) + cost), now)

    def hold(self, key: str, now: float, wait_s: float) -> None:
        """There is no token before `wait_s` from now: what was spent elsewhere counts here too."""
        level = min(self._level(key, now), 1.0 - wait_s * self.rate_per_s)
        self._keep(key, level, now)

    def _level(self, key: str, now: float) -> float:
        found = self._levels.get(key)
        if found is None:
            return self.burst
        level, at = found
        return min(self.burst, level + max(0.0, now - at) * self.rate_per_s)

    def _keep(self, key: str, level: float, now: float) -> None:
        self._levels.pop(key, None)
        self._levels[key] = (level, now)
        if len(self._levels) > self._max_keys:
            del self._levels[next(iter(self._levels))]


class Windows:
    """No key gets more than `most` in any second, wherever that second begins: a full bucket that
    fills again meanwhile would let twice as many through.

    Args:
        most: 0 (or less): no limit at all.
        max_keys: as for `Buckets`. With `most` = 20 a key costs 0.7 to 1.2 KB.
    """

    def __init__(self, most: int, *, max_keys: int = 100_000) -> None:
        self.most = most
        self._max_keys = max_keys
        self._taken: dict[str, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, key: str, now: float) -> bool:
        """False: refused, and not counted. `now` is monotonic seconds."""
        if self.most <= 0:
            return True
        taken = self._taken.pop(key, None)
        if taken is None:
            taken = deque(maxlen=self.most)
            if len(self._taken) >= self._max_keys:
                self._taken.pop(next(iter(self._taken)))
        self._taken[key] = taken
        if len(taken) == self.most and now - taken[0] < 1.0:
            return False
        taken.append(now)
        return True
