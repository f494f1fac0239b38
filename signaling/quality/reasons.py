"""Why it was bad, from when to when, in a word for programs and a sentence for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from signaling.quality import emodel
from signaling.quality.record import Pair, Record, Window
from signaling.quality.verdict import (
    disconnected,
    froze,
    lost_share,
    mean_of,
    mean_score,
    nothing_received,
    verdict,
)

REASONS = 40
"""Stretches that are named; the longest of more."""
GAP_MS = 15_000
"""Between windows of one stretch."""
LOSS = 0.03
"""From here on concealment is heard."""
RTT_MS = 400.0
"""With buffers over 200 ms one way: people begin to talk at once (ITU-T G.114)."""
JITTER_MS = 40.0
CONCEALED = 0.05
"""A share of the time."""
LIMITED_MS = 15_000
"""Each call begins with some seconds in which the browser finds out what the network takes."""
SETUP_MS = 5_000
FEW_PACKETS = 20


class Reason(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """`start` and `end`: ms since the Unix epoch."""

    reason: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds` for a window; `text` of those in a row for which it does."""

    reason: str
    holds: Callable[[Window], bool]
    text: Callable[[Sequence[Window]], str]
    least_ms: int = 0


def why(record: Record) -> tuple[Reason, ...]:
    """By time; of the longest stretches if there are many."""
    found = [*_of_call(record)]
    for rule in RULES:
        for stretch in _stretches(record.windows, rule.holds):
            start, end = stretch[0].at, stretch[-1].end
            if end - start >= rule.least_ms:
                found.append(Reason(rule.reason, start, end, rule.text(stretch)))
    if not found and verdict(record.windows, mean_score(record.windows)) in ("fair", "bad"):
        found.append(_little_of_each(record.windows))
    longest = sorted(found, key=lambda each: each.start - each.end)[:REASONS]
    return tuple(sorted(longest, key=lambda each: (each.start, each.end, each.reason)))


# ---- of the whole call ---------------------------------------------------------------------------


def _of_call(record: Record) -> Iterator[Reason]:
    if not record.windows:
        return
    start, end = record.windows[0].at, record.windows[-1].end
    if record.setup_ms is not None and record.setup_ms >= SETUP_MS:
        text = f"It took {_seconds(record.setup_ms)} until the call was connected."
        yield Reason("slow_setup", start - record.setup_ms, start, text)
    if record.pair is not None and (word := _tcp(record.pair)):
        text = "The call went over TCP, as a firewall lets no UDP through: gaps last longer there."
        yield Reason(word, start, end, text)


def _little_of_each(windows: Sequence[Window]) -> Reason:
    """No window is bad enough to be named. By the word of what costs more."""
    lost, rtt_ms = lost_share(windows), mean_of(windows, "rtt_ms") or 0.0
    delay_ms = emodel.mouth_to_ear_ms(rtt_ms, mean_of(windows, "audio_jitter_ms") or 0.0)
    more_lost = emodel.loss_impairment(lost) >= emodel.delay_impairment(delay_ms)
    text = f"Some loss and delay at once: {_percent(lost)} of the packets, {rtt_ms:.0f} ms."
    return Reason("loss" if more_lost else "delay", windows[0].at, windows[-1].end, text)


def _tcp(pair: Pair) -> str | None:
    if pair.local == "relay" and pair.relay_protocol in ("tcp", "tls"):
        return "relay"
    return "tcp" if pair.protocol == "tcp" else None


# ---- of windows ----------------------------------------------------------------------------------


def _packets(windows: Sequence[Window]) -> tuple[int, int]:
    """Of sound and picture: lost, and all."""
    lost = sum(each.audio_lost + each.video_lost for each in windows)
    return lost, lost + sum(each.audio_received + each.video_received for each in windows)


def _loses(window: Window) -> bool:
    if window.audio_lost + window.video_lost == 0:
        return False
    sound = window.audio_lost + window.audio_received
    lost, packets = _packets([window])
    return (sound >= FEW_PACKETS and window.audio_lost >= LOSS * sound) or (
        packets >= FEW_PACKETS and lost >= LOSS * packets
    )


def _loss_text(windows: Sequence[Window]) -> str:
    lost, packets = _packets(windows)
    return f"{_percent(lost / packets)} of the packets were lost."


def _delay_text(windows: Sequence[Window]) -> str:
    worst = max(each.rtt_ms or 0.0 for each in windows)
    return f"Packets took up to {worst:.0f} ms there and back: people talk at the same time."


def _jitter_text(windows: Sequence[Window]) -> str:
    worst = max(each.audio_jitter_ms or 0.0 for each in windows)
    return f"Packets came unevenly, by up to {worst:.0f} ms."


def _gaps(window: Window) -> bool:
    heard = window.ms - window.reconnecting_ms
    missing = window.concealed_ms - window.reconnecting_ms
    has_sound = window.audio_received + window.audio_lost >= FEW_PACKETS
    return has_sound and heard > 0 and missing >= CONCEALED * heard and not _loses(window)


def _gaps_text(windows: Sequence[Window]) -> str:
    share = sum(each.concealed_ms for each in windows) / sum(each.ms for each in windows)
    return f"{_percent(min(1.0, share))} of the sound came too late to be played."


def _outage_text(windows: Sequence[Window]) -> str:
    return f"The connection was lost for {_seconds(sum(w.reconnecting_ms for w in windows))}."


def _freeze_text(windows: Sequence[Window]) -> str:
    times = sum(each.freezes for each in windows)
    often = "once" if times == 1 else f"{times} times"
    return f"The picture stood still {often}, {_seconds(sum(w.freeze_ms for w in windows))} in all."


def _slow_network_text(windows: Sequence[Window]) -> str:
    least = min(each.bps_out for each in windows)
    return f"The network took no better picture from here: {least // 1000} kbit/s at the least."


RULES = (
    Rule("loss", _loses, _loss_text),
    Rule("delay", lambda window: (window.rtt_ms or 0.0) >= RTT_MS, _delay_text),
    Rule("jitter", lambda window: (window.audio_jitter_ms or 0.0) >= JITTER_MS, _jitter_text),
    Rule("gaps", _gaps, _gaps_text),
    Rule(
        "slow_network",
        lambda window: window.limited == "bandwidth",
        _slow_network_text,
        LIMITED_MS,
    ),
    Rule(
        "slow_computer",
        lambda window: window.limited == "cpu",
        lambda windows: "This computer was too slow for a better picture.",
        LIMITED_MS,
    ),
    Rule("reconnecting", disconnected, _outage_text),
    Rule("freezes", froze, _freeze_text),
    Rule(
        "one_way",
        nothing_received,
        lambda windows: "Nothing arrived here, neither sound nor picture, though it was sent.",
    ),
)


def _stretches(
    windows: Sequence[Window], holds: Callable[[Window], bool]
) -> Iterator[list[Window]]:
    """Windows in a row for which it holds, with no long gap between them."""
    stretch: list[Window] = []
    for window in windows:
        held = holds(window)
        if stretch and not (held and window.at - stretch[-1].end <= GAP_MS):
            yield stretch
            stretch = []
        if held:
            stretch.append(window)
    if stretch:
        yield stretch


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"
