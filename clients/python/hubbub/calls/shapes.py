"""What the wire carries of calls, typed (docs/protocol.md, "Calls")."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

CallMedia: TypeAlias = Literal["audio", "video"]
Source: TypeAlias = Literal["mic", "camera", "screen", "screen_audio"]


class CallTrack(msgspec.Struct, frozen=True):
    track_id: str
    kind: CallMedia
    source: str
    muted: bool = False


class Participant(msgspec.Struct, frozen=True):
    """A device in a call."""

    user_id: str
    device_id: str
    tracks: list[CallTrack] = []


class CallInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """`started_at`: ms of the server's clock. `reason`: why it ended, or why it rings no more.

    `revision` grows with every change: of two the higher is the newer, whichever came first. Other
    servers may have none (0).
    """

    id: str
    room_id: str
    media: CallMedia
    mode: Literal["p2p", "sfu"]
    generation: int
    state: Literal["ringing", "active", "ended"]
    started_by: str
    started_at: int
    participants: list[Participant] = []
    reason: str | None = None
    revision: int = 0

    def precedes(self, known: CallInfo) -> bool:
        """It was said before `known`: answers and events travel apart."""
        return 0 < self.revision < known.revision

    def has(self, device_id: str) -> bool:
        return any(each.device_id == device_id for each in self.participants)


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`RTCIceServer` of WebRTC; `credential` is a secret."""

    urls: list[str] | str
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        return f"IceServer(urls={self.urls!r})"


class Joined(msgspec.Struct, frozen=True):
    """The answer to who starts or accepts."""

    call: CallInfo
    ice_servers: list[IceServer] = []


# ---- what a feed hands out -----------------------------------------------------------------------


class CallRinging(msgspec.Struct, frozen=True):
    """Somebody calls. To be answered until `expires_at` (ms of the server's clock)."""

    call: CallInfo
    expires_at: int


class CallChanged(msgspec.Struct, frozen=True):
    """A call of one of one's rooms, as it is now; `state` "ended" is the last."""

    call: CallInfo


class CallSignal(msgspec.Struct, frozen=True):
    """From another device in the call, as it sent it: anything may be in it."""

    call_id: str
    from_device_id: str
    signal: Any = None
