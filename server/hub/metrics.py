"""What the hub counts. Plain numbers: `server.http` turns a snapshot into Prometheus text."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.kernel.histogram import Histogram


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
