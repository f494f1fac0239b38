"""How long to wait before the next try: exponential, with full jitter, bounded."""

from __future__ import annotations

import random


class Backoff:
    """Delays of 0.. `first_s` * 2**n, at most `most_s`; a thousand clients of a restarted server
    spread out instead of coming back together.
    """

    def __init__(
        self, *, first_s: float = 0.25, most_s: float = 15.0, rng: random.Random | None = None
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._tries = 0
        self._rng = rng or random.Random()

    def succeeded(self) -> None:
        self._tries = 0

    def next_delay_s(self) -> float:
        """Seconds to wait; each call counts as one more failure."""
        ceiling = min(self._most_s, self._first_s * 2.0 ** min(self._tries, 16))
        self._tries += 1
        return self._rng.uniform(ceiling / 10, ceiling)
