"""What is refused, with the code and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from server.kernel.errors import (
    AppError,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    TooLarge,
    Unavailable,
)
from server.kernel.ids import UserId
from server.kernel.limits import Buckets
from signaling.call import Call
from signaling.inputs import Accept, End, Signal
from signaling.outputs import Refused
from storage.api import Role

SIGNAL_BYTES = 65_536
P2P_DEVICES = 2


@dataclass(frozen=True, slots=True)
class CallLimits:
    """`sfu`: a packet plane carries calls of more than two. Rates of 0: no limit."""

    sfu: bool = False
    ring_members: int = 32
    participants: int = 100
    calls: int = 10_000
    calls_per_user: int = 4
    starts_per_s: float = 0.2
    starts_burst: int = 10
    signals_per_s: float = 50.0
    signals_burst: int = 300
    changes_per_s: float = 10.0
    """Of one user who joins and mutes: each is told to the whole room."""
    changes_burst: int = 100


def refuse_join(call: Call, cmd: Accept, limits: CallLimits) -> Refused | None:
    """For a device that is not in yet."""
    mine = call.devices_of(cmd.by.user_id)
    if mine and not cmd.take_over and (call.direct or call.state == "ringing"):
        text = "You are in this call with another device: take it over, or go on there."
        return Refused(Conflict(text), "other_device")
    if not cmd.room.may_call and not _is_called(call, cmd.by.user_id):
        return Refused(_may_not_call(), "may_not_call")
    if mine and cmd.take_over:
        return None
    count = sum(device.state != "taking_over" for device in call.devices.values())
    if count >= limits.participants:
        return Refused(TooLarge("This call has as many participants as it can."), "full")
    if call.mode == "p2p" and count >= P2P_DEVICES and not limits.sfu:
        text = "This server carries calls of two only: try again when one of them has left."
        return Refused(Unavailable(text), "no_sfu")
    return None


def refuse_start(may_call: bool, calls: int, mine: int, limits: CallLimits) -> Refused | None:
    """`calls`: all that there are; `mine`: those that the user is in."""
    if not may_call:
        return Refused(_may_not_call(), "may_not_call")
    if mine >= limits.calls_per_user:
        return too_many()
    if calls >= limits.calls:
        text = "The server has as many calls as it can carry. Try again later."
        return Refused(Unavailable(text, retry_after_s=30.0), "server_full")
    return None


def _is_called(call: Call, user_id: UserId) -> bool:
    """By the other one: whom that one has blocked may answer, though he may not call."""
    return call.direct and any(each.user_id != user_id for each in call.devices.values())


def refuse_end(call: Call, cmd: End) -> Refused | None:
    if cmd.by.user_id == call.started_by or may_end(cmd.role):
        return None
    text = "Only who started the call, the owner and admins end it for all: leave it instead."
    return Refused(Forbidden(text), "not_allowed_to_end")


def refuse_signal(call: Call, cmd: Signal) -> Refused | None:
    if cmd.by.device_id not in call.devices:
        return not_in(call)
    if len(cmd.signal) > SIGNAL_BYTES:
        text = f"A signal has at most {SIGNAL_BYTES} bytes."
        return Refused(TooLarge(text, field="signal"), "signal_too_large")
    if cmd.to_device_id not in call.devices or cmd.to_device_id == cmd.by.device_id:
        text = "That device is not in this call."
        return Refused(NotFound(text, field="to_device_id"), "target_not_in")
    return None


def refuse_pace(buckets: Buckets, caller_key: str, now_s: float) -> Refused | None:
    wait = buckets.take(caller_key, now_s)
    if wait <= 0:
        return None
    error = RateLimited("That was too often; please wait.", retry_after_s=max(0.001, wait))
    return Refused(error, "too_often")


def not_in(call: Call) -> Refused:
    if call.over:
        return over()
    return Refused(Forbidden("Your device is not in this call: accept it first."), "not_in")


def over() -> Refused:
    return Refused(Conflict("This call has ended."), "ended")


def unknown() -> Refused:
    return Refused(no_call(), "unknown_call")


def no_call() -> AppError:
    return NotFound("There is no such call.", field="call_id")


def no_track() -> Refused:
    text = "There is no such track: mic, camera, screen or screen_audio."
    return Refused(NotFound(text, field="track_id"), "unknown_track")


def waits_too_long() -> Refused:
    text = "The other device is away and too much waits for it. Try again later."
    return Refused(Unavailable(text, retry_after_s=1.0), "target_away")


def too_many() -> Refused:
    return Refused(Conflict("You are in too many calls: leave one first."), "too_many_calls")


def in_call_already() -> Refused:
    return Refused(Conflict("You are in this call: leave it instead."), "declines_own")


def may_end(role: Role) -> bool:
    return role in ("owner", "admin")


def _may_not_call() -> AppError:
    return Forbidden("You may not call in this room.")
