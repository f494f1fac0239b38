"""What clients see of calls (PROTOCOL section 3), and what a call leaves behind."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from server.kernel.ids import DeviceId, RoomId, UserId
from signaling.states import CallState, EndReason, Reason

Media = Literal["audio", "video"]
Mode = Literal["p2p", "sfu"]
Source = Literal["mic", "camera", "screen", "screen_audio"]
SOURCES: tuple[Source, ...] = ("mic", "camera", "screen", "screen_audio")


class TrackView(msgspec.Struct, frozen=True):
    track_id: str
    kind: Media
    source: Source
    muted: bool


class ParticipantView(msgspec.Struct, frozen=True):
    user_id: UserId
    device_id: DeviceId
    tracks: tuple[TrackView, ...]


class CallView(msgspec.Struct, frozen=True, omit_defaults=True):
    """`started_at` in ms; `participants` in the order they came; none once it has ended.

    `revision` (our addition to the contract) grows whenever the rest changes: of two views the
    higher one is the newer, whichever came first. Answers and `call:state` travel apart.
    """

    id: str
    room_id: RoomId
    media: Media
    mode: Mode
    generation: int
    state: CallState
    started_by: UserId
    started_at: int
    participants: tuple[ParticipantView, ...]
    reason: Reason | UnsetType = UNSET
    revision: int = 0


class Attended(msgspec.Struct, frozen=True):
    """From when to when a device was in, its absences counted; ms since the Unix epoch."""

    user_id: UserId
    device_id: DeviceId
    joined_at: int
    left_at: int


class CallRecord(msgspec.Struct, frozen=True):
    """What the room's log keeps of a call that ended. `device_id`: the starter's."""

    call_id: str
    room_id: RoomId
    started_by: UserId
    device_id: DeviceId
    media: Media
    started_at: int
    ended_at: int
    outcome: EndReason
    participants: tuple[Attended, ...]

    @property
    def content(self) -> dict[str, object]:
        """Of the log's `call` event."""
        return {
            "call_id": self.call_id,
            "media": self.media,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "outcome": self.outcome,
            "participants": self.participants,
        }


class SavedDevice(msgspec.Struct, frozen=True):
    user_id: UserId
    device_id: DeviceId
    node_id: str
    socket_id: str
    joined_at: int
    taking_over: bool
    tracks: dict[Source, bool]


class SavedCall(msgspec.Struct, frozen=True):
    """A call as it is kept beside the process. `ring_until`: ms since the Unix epoch.

    `invited`: who may hear of it when he comes up; `ringing`: those of them whose devices ring.
    """

    call_id: str
    room_id: RoomId
    direct: bool
    media: Media
    mode: Mode
    generation: int
    state: CallState
    started_by: UserId
    started_device: DeviceId
    started_at: int
    ring_until: int
    answered: bool
    invited: tuple[UserId, ...]
    ringing: tuple[UserId, ...]
    declined: tuple[UserId, ...]
    devices: tuple[SavedDevice, ...]
    attended: tuple[Attended, ...]
    reason: EndReason | None = None
    ended_at: int = 0
    revision: int = 0
