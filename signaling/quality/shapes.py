"""What devices tell of a call, and what members of its room may read (docs/protocol.md)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from server.kernel.ids import DeviceId, UserId
from signaling.quality.reasons import Reason, why
from signaling.quality.record import (
    BPS_MAX,
    COUNT_MAX,
    MS_MAX,
    Limit,
    Pair,
    Record,
    Window,
)
from signaling.quality.verdict import (
    Verdict,
    lost_share,
    mean_of,
    mean_score,
    scores,
    verdict,
)

POSTED_WINDOWS = 30
TIME_MS_MAX = 60_000.0
_EPOCH_MS_MAX = 1 << 53

Count = Annotated[float, Meta(ge=0, le=COUNT_MAX)]
Duration = Annotated[float, Meta(ge=0, le=MS_MAX)]
Delay = Annotated[float, Meta(ge=0, le=TIME_MS_MAX)]
Rate = Annotated[float, Meta(ge=0, le=BPS_MAX)]


class PostedWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers may have fractions, as browsers' statistics have."""

    at: Annotated[float, Meta(ge=0, le=_EPOCH_MS_MAX)]
    ms: Annotated[float, Meta(gt=0, le=MS_MAX)]
    audio_received: Count
    audio_lost: Count
    concealed_ms: Duration
    video_received: Count
    video_lost: Count
    frames: Count
    freezes: Count
    freeze_ms: Duration
    bps_in: Rate
    bps_out: Rate
    reconnecting_ms: Duration
    rtt_ms: Delay | None = None
    audio_jitter_ms: Delay | None = None
    limited: Limit | None = None

    @property
    def window(self) -> Window:
        """What is told of a freeze when it ends may be longer than the window: it is cut."""
        ms = max(1, round(self.ms))
        return Window(
            at=round(self.at),
            ms=ms,
            rtt_ms=_tenth(self.rtt_ms),
            audio_received=round(self.audio_received),
            audio_lost=round(self.audio_lost),
            audio_jitter_ms=_tenth(self.audio_jitter_ms),
            concealed_ms=min(ms, round(self.concealed_ms)),
            video_received=round(self.video_received),
            video_lost=round(self.video_lost),
            frames=round(self.frames),
            freezes=round(self.freezes),
            freeze_ms=min(ms, round(self.freeze_ms)),
            bps_in=round(self.bps_in),
            bps_out=round(self.bps_out),
            limited=self.limited,
            reconnecting_ms=min(ms, round(self.reconnecting_ms)),
        )


class PostQuality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    windows: Annotated[tuple[PostedWindow, ...], Meta(max_length=POSTED_WINDOWS)]
    setup_ms: Duration | None = None
    pair: Pair | None = None


class QualitySoFar(msgspec.Struct, frozen=True, omit_defaults=True):
    mos: float | None = None


class WindowView(msgspec.Struct, frozen=True, omit_defaults=True):
    at: int
    ms: int
    audio_received: int
    audio_lost: int
    concealed_ms: int
    video_received: int
    video_lost: int
    frames: int
    freezes: int
    freeze_ms: int
    bps_in: int
    bps_out: int
    reconnecting_ms: int
    rtt_ms: float | None = None
    audio_jitter_ms: float | None = None
    limited: Limit | None = None
    mos: float | None = None


class ParticipantQuality(msgspec.Struct, frozen=True, omit_defaults=True):
    user_id: UserId
    device_id: DeviceId
    loss: float
    concealed_ms: int
    freezes: int
    freeze_ms: int
    reconnecting_ms: int
    bps_in: int
    bps_out: int
    verdict: Verdict
    reasons: tuple[Reason, ...]
    windows: tuple[WindowView, ...]
    setup_ms: int | None = None
    pair: Pair | None = None
    rtt_ms: float | None = None
    jitter_ms: float | None = None
    mos: float | None = None


class QualityOfCall(msgspec.Struct, frozen=True):
    call_id: str
    participants: tuple[ParticipantQuality, ...]


def participant(user_id: UserId, device_id: DeviceId, record: Record) -> ParticipantQuality:
    windows = record.windows
    rated = scores(windows)
    mos = mean_score(windows, rated)
    return ParticipantQuality(
        user_id,
        device_id,
        loss=round(lost_share(windows), 4),
        concealed_ms=sum(each.concealed_ms for each in windows),
        freezes=sum(each.freezes for each in windows),
        freeze_ms=sum(each.freeze_ms for each in windows),
        reconnecting_ms=sum(each.reconnecting_ms for each in windows),
        bps_in=round(mean_of(windows, "bps_in") or 0),
        bps_out=round(mean_of(windows, "bps_out") or 0),
        verdict=verdict(windows, mos),
        reasons=why(record),
        windows=tuple(map(_view, windows, rated)),
        setup_ms=record.setup_ms,
        pair=record.pair,
        rtt_ms=_tenth(mean_of(windows, "rtt_ms")),
        jitter_ms=_tenth(mean_of(windows, "audio_jitter_ms")),
        mos=hundredth(mos),
    )


def hundredth(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _view(window: Window, mos: float | None) -> WindowView:
    measured = zip(Window.__struct_fields__, astuple(window), strict=True)
    return WindowView(**dict(measured), mos=hundredth(mos))


def _tenth(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
