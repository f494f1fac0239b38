"""/metrics: plain numbers of the parts as Prometheus text, and the event loop's lag."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

PREFIX = "hubbub_"
LAG_EVERY_S = 0.25
LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class MetricSource(Protocol):
    """A part that counts, without knowing Prometheus.

    `snapshot` gives each metric's name (without prefix; unit at its end) one of:
    - a number: a counter if the name ends in `_total`, else a gauge;
    - `{"bounds": [..], "counts": [..], "sum": s}`: a histogram; `counts` has one more member than
      `bounds` (what lay above the last) and is not cumulative;
    - `{"label": name, "values": {label value: number}}`: the first, by a label.
    """

    def snapshot(self) -> Mapping[str, Any]: ...


class Counts:
    """A dataclass of plain numbers as a source, read anew at each snapshot.

    Numbers named in `gauges` (or ending in `_max_s`) are gauges, others counters; what has a
    `snapshot()` of (bounds, counts, sum) is a histogram. `_s` at the end becomes `_seconds`.
    """

    def __init__(self, prefix: str, counts: Any, *, gauges: Collection[str] = ()) -> None:
        self._prefix = prefix
        self._counts = counts
        self._gauges = frozenset(gauges)

    def snapshot(self) -> Mapping[str, Any]:
        return dict(self._read(field.name) for field in dataclasses.fields(self._counts))

    def _read(self, name: str) -> tuple[str, Any]:
        value = getattr(self._counts, name)
        shown = self._prefix + (f"{name.removesuffix('_s')}_seconds" if name[-2:] == "_s" else name)
        if hasattr(value, "snapshot"):
            bounds, counts, total = value.snapshot()
            return shown, {"bounds": bounds, "counts": counts, "sum": total}
        if name in self._gauges or name.endswith("_max_s"):
            return shown, value
        return f"{shown}_total", value


class LoopLag:
    """How late the loop runs what is due: sampled every 0.25 s into a histogram."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LAG_BOUNDS_S) + 1)
        self._sum = 0.0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + LAG_EVERY_S
        self._timer = loop.call_at(due, self._tick, loop, due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def note(self, late_s: float) -> None:
        late_s = max(0.0, late_s)
        place = next((i for i, bound in enumerate(LAG_BOUNDS_S) if late_s <= bound), -1)
        self._counts[place] += 1
        self._sum += late_s
        self._last = late_s

    def snapshot(self) -> Mapping[str, Any]:
        histogram = {"bounds": LAG_BOUNDS_S, "counts": tuple(self._counts), "sum": self._sum}
        return {"loop_lag_seconds": histogram, "loop_lag_last_seconds": self._last}

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.note(loop.time() - due)
        self.start()


class _Snapshots(Collector):
    def __init__(self, sources: Sequence[MetricSource]) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        for source in self._sources:
            for name, value in source.snapshot().items():
                yield _family(PREFIX + name, value)


class Metrics:
    """Serves what the sources count, from a registry of its own."""

    def __init__(self, sources: Sequence[MetricSource]) -> None:
        self.lag = LoopLag()
        self._registry = CollectorRegistry()
        self._registry.register(_Snapshots([self.lag, *sources]))

    def text(self) -> bytes:
        return generate_latest(self._registry)

    async def serve(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
        return web.Response(body=self.text(), headers=headers)


def _family(name: str, value: Any) -> Metric:
    words = name.removeprefix(PREFIX).replace("_", " ")
    if isinstance(value, Mapping) and "bounds" in value:
        return _histogram(name, words, value)
    labels = [value["label"]] if isinstance(value, Mapping) else []
    numbers = value["values"] if isinstance(value, Mapping) else {None: value}
    family: CounterMetricFamily | GaugeMetricFamily
    if name.endswith("_total"):
        family = CounterMetricFamily(name.removesuffix("_total"), words, labels=labels)
    else:
        family = GaugeMetricFamily(name, words, labels=labels)
    for label, number in numbers.items():
        family.add_metric([] if label is None else [str(label)], float(number))
    return family


def _histogram(name: str, words: str, value: Mapping[str, Any]) -> Metric:
    running, buckets = 0, []
    for bound, count in zip((*value["bounds"], "+Inf"), value["counts"], strict=True):
        running += count
        buckets.append((str(bound), running))
    family = HistogramMetricFamily(name, words)
    family.add_metric([], buckets, sum_value=value["sum"])
    return family
