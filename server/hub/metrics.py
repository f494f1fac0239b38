"""What the hub counts. Plain numbers: `server.http` turns a snapshot into Prometheus text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class HubMetrics:
    """Counters only grow; `connections` and `outbox_bytes` are what is now."""

    connections: int = 0
    outbox_bytes: int = 0
    connects: int = 0
    connects_refused: int = 0
    events: int = 0
    sends: int = 0
    deliveries: int = 0
    bad_packets: int = 0
    internal_errors: int = 0
    ephemeral_dropped: int = 0
    slow_closed: int = 0
    ack_s: Histogram = field(default_factory=Histogram)
    fanout_s: Histogram = field(default_factory=Histogram)
    loop_lag_s: Histogram = field(default_factory=Histogram)
    loop_lag_max_s: float = 0.0
