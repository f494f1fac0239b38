"""A device in a call: its socket, its tracks, and what waits for it while it is away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.kernel.ids import DeviceId, UserId
from signaling.outputs import At, Carried
from signaling.states import DeviceState, device_after
from signaling.views import SOURCES, Media, ParticipantView, SavedDevice, Source, TrackView

GRACE_S = 15.0
"""A device whose socket is gone may come back within this."""
HELD_SIGNALS = 64
HELD_BYTES = 262_144
"""What waits for a device that is away: a whole offer with its candidates, not more."""

KINDS: Mapping[Source, Media] = {
    "mic": "audio", "camera": "video", "screen": "video", "screen_audio": "audio",
}  # fmt: skip
BY_ITSELF: tuple[Source, Source] = ("mic", "camera")
"""Listed without being asked for; the camera in video calls. A device that takes over has them as
the older one had: who was muted stays muted.
"""


@dataclass(slots=True)
class Device:
    """`until`: when its grace or its taking over ends. `tracks`: muted or not, by source."""

    user_id: UserId
    device_id: DeviceId
    at: At
    joined_ms: int
    state: DeviceState = "out"
    until: float | None = None
    tracks: dict[Source, bool] = field(default_factory=dict)
    held: list[Carried] = field(default_factory=list)

    def move(self, event: str) -> None:
        self.state = device_after(self.state, event)
        self.until = None

    def hold(self, signal: Carried) -> bool:
        """False: too much waits already."""
        size = len(signal.signal) + sum(len(held.signal) for held in self.held)
        if len(self.held) >= HELD_SIGNALS or size > HELD_BYTES:
            return False
        self.held.append(signal)
        return True

    def list_tracks(self, media: Media) -> None:
        """From the accept on the microphone is there, in a video call the camera too."""
        for source in BY_ITSELF[: 1 if media == "audio" else 2]:
            self.tracks.setdefault(source, False)

    @property
    def view(self) -> ParticipantView:
        tracks = tuple(
            TrackView(source, KINDS[source], source, self.tracks[source])
            for source in SOURCES
            if source in self.tracks
        )
        return ParticipantView(self.user_id, self.device_id, tracks)

    @property
    def saved(self) -> SavedDevice:
        return SavedDevice(
            self.user_id, self.device_id, self.at.node_id, self.at.socket_id, self.joined_ms,
            self.state == "taking_over", dict(self.tracks),
        )  # fmt: skip
