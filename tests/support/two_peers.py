"""Two devices of a call in one process: peers of aiortc, joined by a line that can be cut."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiortc.mediastreams import (
    AudioStreamTrack,
    MediaStreamError,
    MediaStreamTrack,
    VideoStreamTrack,
)
from hubbub.calls.echo import Echo
from hubbub.calls.peer import Media, Peer
from hubbub.calls.signals import read_signal


class Camera:
    """Sends silence and a green picture; counts what comes back, by source."""

    def __init__(self, *sources: str) -> None:
        self.sources = sources or ("mic", "camera")
        self.frames: Counter[str] = Counter()
        self._tracks: dict[str, MediaStreamTrack] = {}
        self._readers: list[asyncio.Task[None]] = []

    def outgoing(self, source: str) -> MediaStreamTrack | None:
        if source not in self.sources:
            return None
        track = self._tracks.get(source)
        if track is None or track.readyState != "live":
            audio = source in ("mic", "screen_audio")
            track = self._tracks[source] = AudioStreamTrack() if audio else VideoStreamTrack()
        return track

    def incoming(self, source: str, track: MediaStreamTrack) -> None:
        self._readers.append(asyncio.create_task(self._read(source, track)))

    async def close(self) -> None:
        for track in self._tracks.values():
            track.stop()
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read(self, source: str, track: MediaStreamTrack) -> None:
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            self.frames[source] += 1


class End:
    """One of the two. What it sends is kept in `sent`, and reaches `other` while `open`."""

    def __init__(self, media: Media, *, polite: bool) -> None:
        self.media = media
        self.peer = Peer([], media, self._send, polite=polite)
        self.sent: list[dict[str, Any]] = []
        self.open = True
        self.other: End | None = None
        self._inbox: asyncio.Queue[object] = asyncio.Queue()
        self._task = asyncio.create_task(self._work())

    @property
    def connected(self) -> bool:
        return self.peer.state == "connected"

    async def takes(self, raw: object) -> str | None:
        """Why it was not followed."""
        signal = read_signal(raw)
        if signal is None:
            return "not read"
        await self.peer.take(signal)
        return self.peer.refused

    async def close(self) -> None:
        self._inbox.put_nowait(None)  # what it is at goes on to its end, as in a call
        await self._task
        await self.peer.close()
        await self.media.close()

    async def _send(self, signal: dict[str, Any]) -> None:
        self.sent.append(signal)
        if self.open and self.other is not None:
            self.other._inbox.put_nowait(signal)

    async def _work(self) -> None:
        while (raw := await self._inbox.get()) is not None:
            await self.takes(raw)


@asynccontextmanager
async def two_ends(*sources: str) -> AsyncIterator[tuple[End, End]]:
    """A caller with a camera (came first, so polite), and an echo."""
    caller, echo = End(Camera(*sources), polite=True), End(Echo(), polite=False)
    caller.other, echo.other = echo, caller
    try:
        yield caller, echo
    finally:
        await caller.close()
        await echo.close()


def left_over() -> tuple[int, int, int]:
    """Tasks, sockets, peers of this process."""
    gc.collect()
    sockets = sum(
        os.readlink(each).startswith("socket:")
        for each in Path("/proc/self/fd").iterdir()
        if os.path.lexists(each)
    )
    peers = sum(isinstance(each, Peer) for each in gc.get_objects())
    return len(asyncio.all_tasks()), sockets, peers
