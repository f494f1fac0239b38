"""From what the network does to speech to how people judge it: the E-model of ITU-T G.107. Pure.

    R = (Ro - Is) - Id - Ie,eff

with all parameters that no packet tells (noise, loudness, sidetone) at their defaults and echo
cancelled, as browsers do it: of the delay impairment Id there remains Idd, the loss of
interactivity.

Sources: G.107 (06/2015), 7.4 (Idd), 7.5 (Ie,eff), Annex B (MOS); G.113 Appendix I for codecs.
Losses count as random ones (BurstR 1): that they come in bursts is seen by taking short windows.
"""

from __future__ import annotations

import math

BASIC_R = 93.2
"""Ro - Is with all parameters at their defaults, G.107 Table 2."""
OPUS_IE = 0.0
"""G.113 has no value for Opus. It is at least as good as G.711, whose 0 is the scale's best."""
OPUS_BPL = 20.0
"""Percent. G.113 has no value for Opus; ours lies between its two for codecs that conceal losses,
G.711 with concealment (25.1) and G.729A (19).
"""
CODEC_MS = 26.5
"""A frame of 20 ms and 6.5 ms of look-ahead: RFC 6716, 2.1.4."""
BUFFER_MIN_MS = 20.0
"""What a jitter buffer holds at least: one frame."""
BUFFER_JITTERS = 2.0
"""And how many times the jitter it holds beyond that few packets come too late."""


def mouth_to_ear_ms(rtt_ms: float, jitter_ms: float) -> float:
    """One way: half of the round trip, the codec, the jitter buffer."""
    return rtt_ms / 2 + CODEC_MS + max(BUFFER_MIN_MS, BUFFER_JITTERS * jitter_ms)


def delay_impairment(one_way_ms: float) -> float:
    """Idd: 0 up to 100 ms. G.107 (7-27), (7-28)."""
    if one_way_ms <= 100.0:
        return 0.0
    x = math.log2(one_way_ms / 100.0)
    return 25.0 * (_sixth(1.0 + x**6) - 3.0 * _sixth(1.0 + (x / 3.0) ** 6) + 2.0)


def loss_impairment(lost: float, *, ie: float = OPUS_IE, bpl: float = OPUS_BPL) -> float:
    """Ie,eff of a share of 0..1 of the frames that were not there to be played. G.107 (7-29)."""
    percent = 100.0 * lost
    return ie + (95.0 - ie) * percent / (percent + bpl)


def rating(one_way_ms: float, lost: float) -> float:
    """R, 0..93.2."""
    return max(0.0, BASIC_R - delay_impairment(one_way_ms) - loss_impairment(lost))


def mos(r: float) -> float:
    """The mean opinion score that R stands for, 1..4.5. G.107 (B-4); below 6.5 it is 1."""
    if r < 6.5:
        return 1.0
    if r >= 100.0:
        return 4.5
    return 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6


def _sixth(x: float) -> float:
    return float(x ** (1 / 6))
