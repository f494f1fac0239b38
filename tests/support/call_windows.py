"""Windows as devices measure them, good ones unless told otherwise."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from signaling.quality.record import COUNT_MAX, MS_MAX, Window

TEN_S = 10_000
START = 1_800_000_000_000


def window(at: int = START, ms: int = TEN_S, **given: Any) -> Window:
    fields: dict[str, Any] = {
        "rtt_ms": 40.0, "audio_received": 500, "audio_lost": 0, "audio_jitter_ms": 3.0,
        "concealed_ms": 0, "video_received": 900, "video_lost": 0, "frames": 300, "freezes": 0,
        "freeze_ms": 0, "bps_in": 800_000, "bps_out": 700_000, "limited": None,
        "reconnecting_ms": 0, **given,
    }  # fmt: skip
    return Window(at=at, ms=ms, **fields)


def in_a_row(*each: dict[str, Any]) -> tuple[Window, ...]:
    """Ten seconds each, one after the other."""
    return tuple(window(START + n * TEN_S, **given) for n, given in enumerate(each))


def posted(at: int, ms: int = TEN_S, **given: Any) -> dict[str, Any]:
    """As a client sends one."""
    fields = window(at, ms, **given)
    named = {name: getattr(fields, name) for name in Window.__struct_fields__}
    return {name: value for name, value in named.items() if value is not None}


def _some(maximum: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 1_000), st.integers(0, maximum))


ANY_WINDOW = st.builds(
    Window,
    at=st.integers(START, START + 600_000),
    ms=st.one_of(st.integers(1, 20_000), st.integers(1, MS_MAX)),
    rtt_ms=st.none() | st.floats(0, 60_000),
    audio_received=_some(COUNT_MAX),
    audio_lost=_some(COUNT_MAX),
    audio_jitter_ms=st.none() | st.floats(0, 60_000),
    concealed_ms=_some(MS_MAX),
    video_received=_some(COUNT_MAX),
    video_lost=_some(COUNT_MAX),
    frames=_some(COUNT_MAX),
    freezes=_some(COUNT_MAX),
    freeze_ms=_some(MS_MAX),
    bps_in=_some(10_000_000_000),
    bps_out=_some(10_000_000_000),
    limited=st.sampled_from([None, "cpu", "bandwidth", "other"]),
    reconnecting_ms=_some(MS_MAX),
)
