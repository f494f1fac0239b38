"""What one device measured in a call: windows of time, folded into a record that stays small. Pure.

However often and in whatever order windows come, one stretch of time counts once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

WINDOWS = 360
"""An hour of ten seconds each; then the shortest neighbours become one."""
COUNT_MAX = 99_999_999
"""Where sums stop, so that a record's JSON stays below 64 KiB."""
MS_MAX = 86_400_000
"""A computer that slept for a day has a window of a day."""
BPS_MAX = 10_000_000_000

CandidateType = Literal["host", "srflx", "prflx", "relay"]
Limit = Literal["cpu", "bandwidth", "other"]


class Pair(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The candidate pair in use; `relay_protocol`: how its own relay is reached."""

    local: CandidateType
    remote: CandidateType
    protocol: Literal["udp", "tcp"]
    relay_protocol: Literal["udp", "tcp", "tls"] | None = None


class Window(msgspec.Struct, frozen=True, array_like=True):
    """From `at` (ms since the Unix epoch) for `ms`; what happened within it, no totals."""

    at: int
    ms: int
    rtt_ms: float | None
    audio_received: int
    audio_lost: int
    audio_jitter_ms: float | None
    concealed_ms: int
    video_received: int
    video_lost: int
    frames: int
    freezes: int
    freeze_ms: int
    bps_in: int
    bps_out: int
    limited: Limit | None
    reconnecting_ms: int

    @property
    def end(self) -> int:
        return self.at + self.ms

    @property
    def middle(self) -> int:
        return self.at + self.ms // 2


class Record(msgspec.Struct, frozen=True):
    """`setup_ms`: from the accept until it was connected, as first told; `pair`: as last told.
    `windows` by time; none has the middle of another in it.
    """

    setup_ms: int | None = None
    pair: Pair | None = None
    windows: tuple[Window, ...] = ()


SUMS = (
    "audio_received", "audio_lost", "concealed_ms", "video_received", "video_lost", "frames",
    "freezes", "freeze_ms", "reconnecting_ms",
)  # fmt: skip


def fold(
    record: Record, windows: Iterable[Window], *, setup_ms: int | None, pair: Pair | None
) -> tuple[Record, tuple[Window, ...]]:
    """The record with what was told now, and which of the windows it did not know."""
    kept, fresh = list(record.windows), []
    for window in sorted(windows, key=_at):
        place = bisect_left(kept, window.at, key=_at)
        if not any(_same_time(window, near) for near in kept[max(0, place - 1) : place + 1]):
            kept.insert(place, window)
            fresh.append(window)
    return (
        Record(
            setup_ms if record.setup_ms is None else record.setup_ms,
            record.pair if pair is None else pair,
            thinned(kept),
        ),
        tuple(fresh),
    )


def thinned(windows: Sequence[Window], limit: int = WINDOWS) -> tuple[Window, ...]:
    """At most `limit`: of neighbours those become one that are the shortest together."""
    kept = list(windows)
    while len(kept) > limit:
        place = min(range(len(kept) - 1), key=lambda i: kept[i + 1].end - kept[i].at)
        kept[place : place + 2] = [merged(kept[place], kept[place + 1])]
    return tuple(kept)


def merged(a: Window, b: Window) -> Window:
    """Both and what lies between. Sums are added, rates and times averaged by duration."""
    sums = {name: min(COUNT_MAX, getattr(a, name) + getattr(b, name)) for name in SUMS}
    return replace(
        a,
        ms=max(a.end, b.end) - a.at,
        rtt_ms=_mean(a, b, "rtt_ms"),
        audio_jitter_ms=_mean(a, b, "audio_jitter_ms"),
        bps_in=(a.bps_in * a.ms + b.bps_in * b.ms) // (a.ms + b.ms),
        bps_out=(a.bps_out * a.ms + b.bps_out * b.ms) // (a.ms + b.ms),
        limited=_of_most(a, b),
        **sums,
    )


def _mean(a: Window, b: Window, name: str) -> float | None:
    first: float | None = getattr(a, name)
    second: float | None = getattr(b, name)
    if first is None or second is None:
        return second if first is None else first
    return round((first * a.ms + second * b.ms) / (a.ms + b.ms), 1)


def _of_most(a: Window, b: Window) -> Limit | None:
    """What limited the picture for more than half of the time."""
    if a.ms == b.ms:
        return a.limited if a.limited == b.limited else None
    return a.limited if a.ms > b.ms else b.limited


def _same_time(a: Window, b: Window) -> bool:
    """They overlap by half: clocks are corrected by some ms in the middle of a call, and neighbours
    that touch are two.
    """
    return a.at <= b.middle < a.end or b.at <= a.middle < b.end


def _at(window: Window) -> int:
    return window.at
