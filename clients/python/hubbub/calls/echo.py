"""Media that gives back what it gets: the voice a second later, the picture at once."""

from __future__ import annotations

import asyncio
import fractions
import time
from collections import deque

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler, VideoFrame

VOICE_DELAY_S = 1.0
"""At once it would howl through loudspeakers, and nobody hears himself who still speaks."""

RATE = 48_000
SAMPLES = 960
SILENT_S = 2.0
LATE_S = 0.5
"""Further behind (a laptop slept), the clock starts anew instead of catching up."""

FRAMES_MOST = 100
"""Of 20 ms: one delay, and as much again for bursts."""

PIXELS_MOST = 640 * 360
FPS_MOST = 15
CLOCK = fractions.Fraction(1, 90_000)


class EchoVoice(MediaStreamTrack):
    """20 ms of sound every 20 ms: what came `VOICE_DELAY_S` ago, or silence."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[tuple[float, AudioFrame]] = deque(maxlen=FRAMES_MOST)
        self._resampler = AudioResampler(
            format="s16", layout="stereo", rate=RATE, frame_size=SAMPLES
        )
        self._shape: object = None
        self._came = asyncio.Event()
        self._put_at = -SILENT_S
        self._next = 0.0
        self._count = 0

    def put(self, frame: object) -> None:
        if not isinstance(frame, AudioFrame):
            return
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            self._shape = shape
            self._resampler = _resampler()
        frame.pts = None
        self._put_at = time.monotonic()
        due = self._put_at + VOICE_DELAY_S
        self._kept.extend((due, each) for each in self._resampler.resample(frame))
        self._came.set()

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        if not self._kept:
            await self._woken()
        now = time.monotonic()
        if now - self._next > LATE_S:
            self._count += int((now - self._next) * RATE / SAMPLES) if self._next else 0
            self._next = now
        await asyncio.sleep(max(0.0, self._next - now))
        self._next += SAMPLES / RATE
        frame = self._due(time.monotonic())
        frame.pts, frame.time_base, frame.sample_rate = (
            self._count * SAMPLES, fractions.Fraction(1, RATE), RATE,
        )  # fmt: skip
        self._count += 1
        return frame

    async def _woken(self) -> None:
        """Nothing is sent for a source that never sent, or has been silent for a while."""
        if time.monotonic() - self._put_at < SILENT_S:
            return
        self._came.clear()
        await self._came.wait()
        if self.readyState != "live":
            raise MediaStreamError

    def stop(self) -> None:
        super().stop()
        self._came.set()

    def _due(self, now: float) -> AudioFrame:
        while self._kept and self._kept[0][0] < now - 0.3:
            self._kept.popleft()
        if self._kept and self._kept[0][0] <= now:
            return self._kept.popleft()[1]
        silence = AudioFrame(format="s16", layout="stereo", samples=SAMPLES)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        return silence


class EchoPicture(MediaStreamTrack):
    """The newest picture, at most 15 a second and no larger than 640x360."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._newest: VideoFrame | None = None
        self._came = asyncio.Event()
        self._began = time.monotonic()
        self._next = 0.0

    def put(self, frame: object) -> None:
        now = time.monotonic()
        if now < self._next or not isinstance(frame, VideoFrame):
            return
        # Half a frame of grace: sources of 15 fps shall lose none by jitter.
        self._next = max(self._next + 1 / FPS_MOST, now - 0.5 / FPS_MOST)
        self._newest = frame
        self._came.set()

    async def recv(self) -> VideoFrame:
        while self._newest is None:
            if self.readyState != "live":
                raise MediaStreamError
            self._came.clear()
            await self._came.wait()
        frame, self._newest = self._newest, None
        frame = _smaller(frame)
        frame.pts = int((time.monotonic() - self._began) * 90_000)
        frame.time_base = CLOCK
        return frame

    def stop(self) -> None:
        super().stop()
        self._came.set()


class Echo:
    """`Media` of one other device. `close` it."""

    def __init__(self) -> None:
        self._tracks: dict[str, EchoVoice | EchoPicture] = {}
        self._pumps: set[asyncio.Task[None]] = set()

    def outgoing(self, source: str) -> MediaStreamTrack:
        track = self._tracks.get(source)
        if track is None or track.readyState != "live":
            track = EchoVoice() if source in ("mic", "screen_audio") else EchoPicture()
            self._tracks[source] = track
        return track

    def incoming(self, source: str, track: MediaStreamTrack) -> None:
        task = asyncio.create_task(self._pump(source, track), name="hubbub.echo")
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    async def close(self) -> None:
        for track in self._tracks.values():
            track.stop()
        pumps = list(self._pumps)
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: str, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            echo = self._tracks.get(source)
            if echo is not None:
                echo.put(frame)


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="stereo", rate=RATE, frame_size=SAMPLES)


def _smaller(frame: VideoFrame) -> VideoFrame:
    pixels = frame.width * frame.height
    if pixels <= PIXELS_MOST:
        return frame
    scale = (PIXELS_MOST / pixels) ** 0.5
    width, height = (max(2, int(side * scale) // 2 * 2) for side in (frame.width, frame.height))
    return frame.reformat(width=width, height=height, format="yuv420p")
