"""What clients send of calls, and the answer to those who join (PROTOCOL section 3)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from server.kernel.ids import Id
from signaling.tickets import IceServer
from signaling.views import CallView


class StartCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    room_id: Id
    media: Literal["audio", "video"]


class AcceptCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    call_id: Id
    take_over: bool = False


class OneCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of decline, leave and end."""

    call_id: Id


class SignalDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`signal` is opaque: any JSON."""

    call_id: Id
    to_device_id: Id
    signal: Any


class MuteTrack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    call_id: Id
    track_id: Id
    muted: bool


class Joined(msgspec.Struct, frozen=True):
    call: CallView
    ice_servers: tuple[IceServer, ...]
