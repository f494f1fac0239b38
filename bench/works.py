"""The workloads, how a run's report becomes figures, and what is wanted of them (issue 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Report = dict[str, Any]
Figures = dict[str, float]


@dataclass(frozen=True)
class Wanted:
    """What a figure must and should be; with `of`, as so many times that peer's own figure."""

    figure: str
    least: float
    aim: float
    of: str | None = None
    lower_is_better: bool = False


@dataclass(frozen=True)
class Work:
    """`group`: people in a room. `options`: of the load generator."""

    name: str
    text: str
    sockets: int
    group: int
    options: dict[str, object]
    figures: Callable[[Report], Figures]
    wanted: tuple[Wanted, ...]
    peers: tuple[str, ...] = ("plain", "socketio", "hubbub")
    units: dict[str, str] = field(default_factory=dict)


def _room(report: Report) -> Figures:
    return {
        "deliveries per CPU s": report["window_delivered"] / max(report["server_cpu_s"], 0.01),
        "deliveries/s": report["window_delivered"] / report["wall_s"],
        "delivery p50 ms": report["delivery_ms"]["p50"],
        "delivery p99 ms": report["delivery_ms"]["p99"],
        "frames per read": report["window_delivered"] / max(report["reads"], 1),
        **_generator(report),
    }


def _paced(report: Report) -> Figures:
    return {
        "delivery p50 ms": report["delivery_ms"]["p50"],
        "delivery p99 ms": report["delivery_ms"]["p99"],
        "ack p50 ms": report["ack_ms"]["p50"],
        "ack p99 ms": report["ack_ms"]["p99"],
        "server CPU %": 100 * report["server_cpu_s"] / report["wall_s"],
        **_generator(report),
    }


def _pairs(report: Report) -> Figures:
    return {
        "acked per CPU s": report["window_acked"] / max(report["server_cpu_s"], 0.01),
        "acked/s": report["window_acked"] / report["wall_s"],
        "ack p50 ms": report["ack_ms"]["p50"],
        "ack p99 ms": report["ack_ms"]["p99"],
        **_generator(report),
    }


def _idle(report: Report) -> Figures:
    grown = report["rss_after_kib"] - report["rss_before_kib"]
    return {
        "KiB each": grown / report["sockets"],
        "connects per CPU s": report["sockets"] / max(report["server_cpu_s"], 0.01),
        "connects/s": report["sockets"] / report["wall_s"],
        "open p99 ms": report["open_ms"]["p99"],
        **_generator(report),
    }


def _generator(report: Report) -> Figures:
    return {"generator CPU %": 100 * report["generator_share"]}


def _talk(senders: int, inflight: int) -> dict[str, object]:
    return {"work": "room", "senders": senders, "inflight": inflight, "until": "all"}


def works(*, window_s: float, warmup_s: float) -> tuple[Work, ...]:
    timed: dict[str, object] = {"window": window_s, "warmup": warmup_s}
    rate = "deliveries per CPU s"
    return (
        Work(
            "W1a", "one room of 1,000, eight people with a message in flight each", 1000, 1000,
            {**_talk(8, 8), **timed}, _room, (Wanted(rate, 30, 60, of="plain"),),
        ),
        Work(
            "W1a1", "the same, one person with eight messages in flight", 1000, 1000,
            {**_talk(1, 8), **timed}, _room, (Wanted(rate, 30, 60, of="plain"),),
        ),
        Work(
            "W1b", "the same, one message in flight", 1000, 1000,
            {**_talk(1, 1), **timed}, _room, (Wanted(rate, 4, 6, of="plain"),),
        ),
        Work(
            "W1c", "the same room, 40 messages/s by the clock", 1000, 1000,
            {"work": "room", "senders": 8, "rate": 40, **timed}, _paced,
            (
                Wanted("delivery p50 ms", 10, 3, lower_is_better=True),
                Wanted("delivery p99 ms", 25, 10, lower_is_better=True),
            ),
            peers=("socketio", "hubbub"),
        ),
        Work(
            "W2", "500 rooms of two, 200 messages in flight", 1000, 2,
            {"work": "pairs", "inflight": 200, "until": "ack", **timed}, _pairs,
            (
                Wanted("acked per CPU s", 4, 5, of="plain"),
                Wanted("ack p99 ms", 60, 60, lower_is_better=True),
            ),
        ),
        Work(
            "W3", "5,000 idle connections, logged in", 5000, 0, {"work": "idle", "hold": 1}, _idle,
            (
                Wanted("KiB each", 20, 12, lower_is_better=True),
                Wanted("connects per CPU s", 1200, 3000),
            ),
        ),
    )  # fmt: skip
