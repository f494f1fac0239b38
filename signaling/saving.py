"""A call as it is kept beside the process, and after its end, and back."""

from __future__ import annotations

from collections.abc import Collection

from server.kernel.ids import NodeId, SocketId
from signaling.call import RING_S, Call
from signaling.device import GRACE_S, Device
from signaling.inputs import Moment
from signaling.outputs import At
from signaling.views import CallRecord, SavedCall

UNSAVED = 1_000_000
"""More than clients can have seen of a call since it was last saved."""


def save(call: Call) -> SavedCall:
    return SavedCall(
        call.id, call.room_id, call.direct, call.media, call.mode, call.generation, call.state,
        call.started_by, call.started_device, call.started_ms, call.ring_until_ms, call.answered,
        tuple(sorted(call.invited)), tuple(sorted(call.ringing)), tuple(sorted(call.declined)),
        tuple(device.saved for device in call.devices.values()),
        tuple(call.attended.values()), call.reason, call.ended_ms, call.revision,
    )  # fmt: skip


def recall(record: CallRecord) -> Call:
    """As far as it matters once it is over."""
    return Call(
        record.call_id, record.room_id, False, record.media, record.started_by, record.device_id,
        record.started_at, state="ended", reason=record.outcome, ended_ms=record.ended_at,
        attended={stay.device_id: stay for stay in record.participants},
    )  # fmt: skip


def restore(saved: SavedCall, alive: Collection[NodeId], now: Moment) -> Call:
    """Devices whose sockets are gone have their grace anew, unless they were taking over."""
    left_s = min(RING_S, max(0.0, (saved.ring_until - now.ms) / 1000))
    call = Call(
        saved.call_id, saved.room_id, saved.direct, saved.media, saved.started_by,
        saved.started_device, saved.started_at, frozenset(saved.invited), saved.state,
        saved.mode, saved.generation, saved.answered, {}, set(saved.ringing), set(saved.declined),
        {stay.device_id: stay for stay in saved.attended}, now.s + left_s, saved.ring_until,
        saved.reason, saved.ended_at, saved.revision + UNSAVED,
    )  # fmt: skip
    for kept in saved.devices:
        at = At(NodeId(kept.node_id), SocketId(kept.socket_id))
        device = Device(kept.user_id, kept.device_id, at, kept.joined_at, tracks=dict(kept.tracks))
        here = at.node_id in alive
        if kept.taking_over and not here:
            continue
        device.state = "taking_over" if kept.taking_over else "in" if here else "away"
        if device.state != "in":
            device.until = now.s + GRACE_S
        call.devices[device.device_id] = device
    return call
