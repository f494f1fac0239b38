"""How good it was: the score of a window and of a whole record, and a word for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from signaling.quality import emodel
from signaling.quality.record import Window

Verdict = Literal["good", "fair", "bad", "unknown"]

GOOD_MOS, FAIR_MOS = 4.0, 3.1
"""R 80 and 60 of G.107 Table B.1: "satisfied", and where "nearly all dissatisfied" begins."""
FAIR_TROUBLE, BAD_TROUBLE = 0.01, 0.10
"""Shares of the time without connection, with a picture that stood still, or with nothing heard: no
average of scores shows a minute's silence in a long call.
"""
OUTAGE_MS = 500
FREEZE = 0.03
"""A share of the window."""
ONE_WAY_MS = 5_000


def disconnected(window: Window) -> bool:
    return window.reconnecting_ms >= min(OUTAGE_MS, window.ms / 2)


def froze(window: Window) -> bool:
    return window.freezes > 0 and window.freeze_ms >= FREEZE * window.ms


def nothing_received(window: Window) -> bool:
    """We sent, the connection stood, and neither sound nor picture came."""
    came = window.audio_received + window.video_received
    long = window.ms >= ONE_WAY_MS and not disconnected(window)
    return long and came == 0 and window.bps_out > 0


def score(window: Window, rtt_ms: float) -> float | None:
    """MOS of what was heard in it, an outage counting 1. None: there was nothing to hear.

    `rtt_ms`: where the window has none.
    """
    away = min(1.0, window.reconnecting_ms / window.ms)
    if window.audio_received + window.audio_lost == 0:
        return 1.0 if away >= 0.5 else None
    known = rtt_ms if window.rtt_ms is None else window.rtt_ms
    delay_ms = emodel.mouth_to_ear_ms(known, window.audio_jitter_ms or 0.0)
    heard = emodel.mos(emodel.rating(delay_ms, _not_played(window)))
    return heard * (1.0 - away) + away


def scores(windows: Sequence[Window]) -> list[float | None]:
    rtt_ms = mean_of(windows, "rtt_ms") or 0.0
    return [score(window, rtt_ms) for window in windows]


def mean_score(
    windows: Sequence[Window], rated: Sequence[float | None] | None = None
) -> float | None:
    """By duration. `rated`: their scores, if known."""
    rated = scores(windows) if rated is None else rated
    pairs = [(s, w.ms) for s, w in zip(rated, windows, strict=True) if s is not None]
    total = sum(ms for _, ms in pairs)
    return sum(s * ms for s, ms in pairs) / total if total else None


def mean_of(windows: Sequence[Window], name: str) -> float | None:
    """By duration, of those that have it."""
    known = [(v, w.ms) for w in windows if (v := getattr(w, name)) is not None]
    total = sum(ms for _, ms in known)
    return sum(value * ms for value, ms in known) / total if total else None


def lost_share(windows: Sequence[Window]) -> float:
    lost = sum(each.audio_lost + each.video_lost for each in windows)
    came = sum(each.audio_received + each.video_received for each in windows)
    return lost / (lost + came) if lost else 0.0


def verdict(windows: Sequence[Window], mos: float | None) -> Verdict:
    """`mos`: their mean score."""
    trouble = _trouble(windows)
    if trouble >= BAD_TROUBLE:
        return "bad"
    if mos is None:
        return "unknown" if trouble < FAIR_TROUBLE else "fair"
    if mos < FAIR_MOS:
        return "bad"
    return "good" if mos >= GOOD_MOS and trouble < FAIR_TROUBLE else "fair"


def _trouble(windows: Sequence[Window]) -> float:
    return sum(map(_trouble_ms, windows)) / max(1, sum(each.ms for each in windows))


def _trouble_ms(window: Window) -> int:
    if nothing_received(window):
        return window.ms
    away_ms = window.reconnecting_ms if disconnected(window) else 0
    return min(window.ms, max(away_ms, window.freeze_ms if froze(window) else 0))


def _not_played(window: Window) -> float:
    """The share of the sound that was lost or came too late; an outage is counted elsewhere."""
    lost = window.audio_lost / (window.audio_received + window.audio_lost)
    heard_ms = max(1, window.ms - window.reconnecting_ms)
    concealed_ms = max(0, window.concealed_ms - window.reconnecting_ms)
    return min(1.0, max(lost, concealed_ms / heard_ms))
