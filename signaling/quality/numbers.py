"""What /metrics shows of calls' quality: of what devices told this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from server.kernel.histogram import Histogram
from signaling.quality.record import Pair, Record, Window
from signaling.quality.verdict import lost_share, score

SETUP_S = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
MOS = (1.5, 2.0, 2.5, 3.1, 3.6, 4.0, 4.2, 4.3, 4.4)
"""3.1, 3.6 and 4.0 are bounds of G.107 Table B.1; 4.41 is the best that the model gives."""
LOSS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
RTT_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0)


class Numbers:
    """Implements `server.http.metrics.MetricSource`."""

    def __init__(self) -> None:
        self._setup_s = Histogram(SETUP_S)
        self._mos = Histogram(MOS)
        self._loss = Histogram(LOSS)
        self._rtt_s = Histogram(RTT_S)
        self._paths: Counter[str] = Counter()
        self._freezes = 0
        self._reconnecting_s = 0.0

    def count(self, before: Record, after: Record, fresh: Iterable[Window]) -> None:
        """A record changed; each participant's set-up and first path count once."""
        if before.setup_ms is None and after.setup_ms is not None:
            self._setup_s.observe(after.setup_ms / 1000)
        if before.pair is None and after.pair is not None:
            self._paths[path_of(after.pair)] += 1
        for window in fresh:
            self._count(window)

    def snapshot(self) -> Mapping[str, Any]:
        return {
            "call_setup_seconds": _shown(self._setup_s),
            "call_mos": _shown(self._mos),
            "call_loss_ratio": _shown(self._loss),
            "call_rtt_seconds": _shown(self._rtt_s),
            "call_paths_total": {"label": "path", "values": dict(self._paths)},
            "call_freezes_total": self._freezes,
            "call_reconnecting_seconds_total": self._reconnecting_s,
        }

    def _count(self, window: Window) -> None:
        mos = score(window, 0.0)
        if mos is not None:
            self._mos.observe(mos)
        if window.audio_received + window.video_received > 0:
            self._loss.observe(lost_share([window]))
        if window.rtt_ms is not None:
            self._rtt_s.observe(window.rtt_ms / 1000)
        self._freezes += window.freezes
        self._reconnecting_s += window.reconnecting_ms / 1000


def path_of(pair: Pair) -> str:
    """direct_udp, direct_tcp, relay_udp, relay_tcp or relay_tls, by how this end is reached."""
    if pair.local == "relay":
        return f"relay_{pair.relay_protocol or pair.protocol}"
    return f"direct_{pair.protocol}"


def _shown(histogram: Histogram) -> Mapping[str, Any]:
    bounds, counts, total = histogram.snapshot()
    return {"bounds": bounds, "counts": counts, "sum": total}
