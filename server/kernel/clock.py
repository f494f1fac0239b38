"""Time as a dependency: `System` for the process, `Virtual` for tests that live years."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """`now_ms` is wall time (may jump), `monotonic` is for deadlines (never goes back)."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        ...


class System:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class Virtual:
    """A clock that moves when told. `jump_ms` shifts wall time alone, as an operator's correction
    does.
    """

    def __init__(self, start_ms: int = 1_800_000_000_000) -> None:
        self._wall_ms = start_ms
        self._monotonic = 0.0

    def now_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._wall_ms += round(seconds * 1000)

    def jump_ms(self, delta_ms: int) -> None:
        self._wall_ms += delta_ms
