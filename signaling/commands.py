"""What clients ask of calls: each step finds the call, checks, and lets it move. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from server.kernel.ids import UserId
from server.kernel.limits import Buckets
from signaling import rules
from signaling.call import Call
from signaling.device import Device
from signaling.inputs import Accept, Caller, Decline, End, Leave, Moment, Mute, Signal, Start
from signaling.outputs import Answered, At, Carried, Noted, Output, Refused, Told, ToRoom
from signaling.register import Register
from signaling.rules import CallLimits
from signaling.views import SOURCES

TAKE_OVER_S = 5.0
"""A device that takes over is believed to be connected after this at the latest: its user chose it
and its socket is open.
"""
CONNECTS_S = 1.0
"""So long after the other side has answered it by a signal, it is."""

Step = Callable[[Any, Moment], list[Output]]


class Commands:
    """The first output of each step is the answer."""

    def __init__(self, register: Register, limits: CallLimits) -> None:
        self._register = register
        self._limits = limits
        self._starts = Buckets(limits.starts_per_s, limits.starts_burst)
        self._signals = Buckets(limits.signals_per_s, limits.signals_burst)
        self._changes = Buckets(limits.changes_per_s, limits.changes_burst)
        self.steps: Mapping[type[Any], Step] = {
            Start: self._start,
            Accept: self._accept,
            Decline: self._decline,
            Leave: self._leave,
            End: self._end,
            Signal: self._signal,
            Mute: self._mute,
        }

    # ---- start -----------------------------------------------------------------------------------

    def _start(self, cmd: Start, now: Moment) -> list[Output]:
        pace = rules.refuse_pace(self._starts, cmd.by.user_id, now.s)
        if pace is not None:
            return [pace]
        running = self._register.running(cmd.room.room_id)
        if running is not None:
            return self._start_running(running, cmd, now)
        mine = len(self._register.joined(cmd.by.user_id))
        refused = rules.refuse_start(cmd.room.may_call, len(self._register), mine, self._limits)
        if refused is not None:
            return [refused]
        return self._start_new(self._new_call(cmd, now), cmd, now)

    def _start_running(self, call: Call, cmd: Start, now: Moment) -> list[Output]:
        """Two starts are one call: the second is an accept, where it may be one."""
        out = self._accept(Accept(cmd.by, call.id, cmd.room), now)
        refused = out[0]
        if isinstance(refused, Refused) and cmd.room.may_call:
            return [Answered(call.view()), Noted("start.not_joined", refused.why, call.id)]
        return out

    def _start_new(self, call: Call, cmd: Start, now: Moment) -> list[Output]:
        others = call.invited - {cmd.by.user_id}
        free = {user_id for user_id in others if not self._register.joined(user_id)}
        event = "open" if not others else "ring" if free else "busy"
        if event != "busy":
            device = Device(cmd.by.user_id, cmd.by.device_id, at(cmd.by), now.ms)
            device.move("join")
            call.devices[device.device_id] = device
            if event == "open":
                device.list_tracks(call.media)
        notes = [Noted("ringing.skipped", "busy", call.id, busy) for busy in sorted(others - free)]
        out = call.open(event, free, now)
        self._register.add(call)
        return self._register.done(call, [Answered(call.view()), *out, *notes], now)

    def _new_call(self, cmd: Start, now: Moment) -> Call:
        members = cmd.room.members
        rings = members is not None and len(members) <= self._limits.ring_members
        invited: frozenset[UserId] = frozenset(members or ()) if rings else frozenset()
        return Call(
            cmd.call_id, cmd.room.room_id, cmd.room.direct, cmd.media, cmd.by.user_id,
            cmd.by.device_id, now.ms, invited,
        )  # fmt: skip

    # ---- in and out ------------------------------------------------------------------------------

    def _accept(self, cmd: Accept, now: Moment) -> list[Output]:
        call = self._register.calls.get(cmd.call_id)
        if call is None or call.room_id != cmd.room.room_id:
            return [rules.unknown()]
        if call.over:
            return [rules.over()]
        here = call.devices.get(cmd.by.device_id)
        if here is not None:
            out = call.back(here, at(cmd.by))
            return self._register.done(call, [Answered(call.view()), *out], now)
        refused = rules.refuse_join(call, cmd, self._limits)
        if refused is not None:
            return [refused]
        mine = self._register.joined(cmd.by.user_id)
        if call not in mine and len(mine) >= self._limits.calls_per_user:
            return [rules.too_many()]
        pace = rules.refuse_pace(self._changes, cmd.by.user_id, now.s)
        if pace is not None:
            return [pace]
        out = self._let_in(call, cmd, now)
        return self._register.done(call, [Answered(call.view()), *out], now)

    def _let_in(self, call: Call, cmd: Accept, now: Moment) -> list[Output]:
        device = Device(cmd.by.user_id, cmd.by.device_id, at(cmd.by), now.ms)
        older = call.devices_of(cmd.by.user_id)
        if older and cmd.take_over:
            out = call.take_over(device, now.s + TAKE_OVER_S, now)
            if all(each.state == "away" for each in older):  # nobody would hear a gap
                out.extend(call.connected(device, now))
            return out
        settled = [each for each in call.devices.values() if each.state != "taking_over"]
        if call.mode == "p2p" and len(settled) >= rules.P2P_DEVICES:
            return [*call.to_sfu("third_participant"), *call.join(device)]
        return call.join(device)

    def _decline(self, cmd: Decline, now: Moment) -> list[Output]:
        call = self._register.calls.get(cmd.call_id)
        if call is None:
            return [rules.unknown()]
        if cmd.by.user_id in call.users:
            return [rules.in_call_already()]
        if cmd.by.user_id not in call.ringing:
            return [Answered(), Noted("decline.late", call.state, call.id, cmd.by.user_id)]
        out = call.decline(cmd.by.user_id, now)
        return self._register.done(call, [Answered(), *out], now)

    def _leave(self, cmd: Leave, now: Moment) -> list[Output]:
        call = self._register.calls.get(cmd.call_id)
        if call is None:
            return [rules.unknown()]
        device = call.devices.get(cmd.by.device_id)
        if device is None:
            return [Answered(), Noted("leave.late", call.state, call.id, cmd.by.user_id)]
        return self._register.done(call, [Answered(), *call.leave(device, "leave", now)], now)

    def _end(self, cmd: End, now: Moment) -> list[Output]:
        call = self._register.calls.get(cmd.call_id)
        if call is None:
            return [rules.unknown()]
        refused = rules.refuse_end(call, cmd)
        if refused is not None:
            return [refused]
        if call.over:
            return [Answered(), Noted("end.late", "ended", call.id, cmd.by.user_id)]
        out = call.end("hung_up" if call.answered else "cancelled", now)
        return self._register.done(call, [Answered(), *out], now)

    # ---- inside a call ---------------------------------------------------------------------------

    def _signal(self, cmd: Signal, now: Moment) -> list[Output]:
        pace = rules.refuse_pace(self._signals, cmd.by.device_id, now.s)
        if pace is not None:
            return [pace]
        call = self._register.calls.get(cmd.call_id)
        if call is None:
            return [rules.unknown()]
        refused = rules.refuse_signal(call, cmd)
        if refused is not None:
            return [refused]
        moved = self._heard_from(call, cmd.by, now)
        to = call.devices[cmd.to_device_id]
        carried = Carried(to.at, call.id, cmd.by.device_id, cmd.signal)
        if to.state == "away":
            return [Answered() if to.hold(carried) else rules.waits_too_long(), *moved]
        if to.state == "taking_over" and cmd.by.user_id != to.user_id and to.until is not None:
            to.until = min(to.until, now.s + CONNECTS_S)
            moved = self._register.done(call, moved, now)
        return [Answered(), carried, *moved]

    def _mute(self, cmd: Mute, now: Moment) -> list[Output]:
        call = self._register.calls.get(cmd.call_id)
        if call is None:
            return [rules.unknown()]
        device = call.devices.get(cmd.by.device_id)
        if device is None:
            return [rules.not_in(call)]
        source = next((each for each in SOURCES if each == cmd.track_id), None)
        if source is None:
            return [rules.no_track()]
        moved = self._heard_from(call, cmd.by, now)
        if device.tracks.get(source) is cmd.muted:
            return [Answered(), *moved]
        pace = rules.refuse_pace(self._changes, cmd.by.user_id, now.s)
        if pace is not None:
            return [pace, *moved]
        device.tracks[source] = cmd.muted
        told = Told(call.view(), ToRoom(call.room_id))
        return [Answered(), *moved, *self._register.done(call, [told], now)]

    def _heard_from(self, call: Call, by: Caller, now: Moment) -> list[Output]:
        """A device is at the socket through which it spoke last."""
        device = call.devices[by.device_id]
        if device.at == at(by) and device.state != "away":
            return []
        return self._register.done(call, call.back(device, at(by)), now)


def at(by: Caller) -> At:
    return At(by.node_id, by.socket_id)
