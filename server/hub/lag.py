"""How late the event loop is: what every client feels when one of them costs too much."""

from __future__ import annotations

import asyncio

from server.hub.metrics import HubMetrics

EVERY_S = 0.25


class LagMeter:
    """Asks to be called every EVERY_S and notes how late the call is."""

    def __init__(self, metrics: HubMetrics, *, every_s: float = EVERY_S) -> None:
        self._metrics = metrics
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._every_s
        self._timer = loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        lag = max(0.0, asyncio.get_running_loop().time() - self._due)
        self._metrics.loop_lag_s.observe(lag)
        self._metrics.loop_lag_max_s = max(self._metrics.loop_lag_max_s, lag)
        self.start()
