"""Counting observations in buckets, without knowing who shows them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

LATENCY_S: tuple[float, ...] = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
"""Upper bounds in seconds: the aims of the benchmark (3, 10, 25, 60 ms) fall between them."""


class Histogram:
    """Counts observations in buckets, 0.2 us each. `bounds` ascend; above the last is one more."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = LATENCY_S) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def snapshot(self) -> tuple[tuple[float, ...], tuple[int, ...], float]:
        """(upper bounds, count in each bucket and above the last, sum of all values)."""
        return self.bounds, tuple(self.counts), self.total
