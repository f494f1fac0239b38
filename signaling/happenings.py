"""What calls undergo: sockets come and go, members leave, media, restarts, time. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from media.api import CallFailed, PeerConnected, PlaneStarted
from signaling.call import Call
from signaling.commands import Step, at
from signaling.inputs import (
    DeviceOut,
    MemberIn,
    MemberOut,
    Moment,
    NodesLeft,
    Recall,
    Reported,
    Restore,
    Shown,
    SocketDown,
    SocketUp,
    Tick,
)
from signaling.outputs import Commanded, Ended, Noted, Offered, Output, Rung, Told, ToRoom, ToUser
from signaling.register import Register
from signaling.saving import recall, restore

OFFERED = 100
"""Calls of large rooms that a socket which comes up is shown, if it may see them: the newest."""


class Happenings:
    def __init__(self, register: Register) -> None:
        self._register = register
        self.steps: Mapping[type[Any], Step] = {
            SocketUp: self._socket_up,
            SocketDown: self._socket_down,
            Shown: self._shown,
            MemberIn: self._member_in,
            MemberOut: self._member_out,
            DeviceOut: self._device_out,
            NodesLeft: self._nodes_left,
            Restore: self._restore,
            Recall: self._recall,
            Reported: self._reported,
            Tick: self._tick,
        }

    def _socket_up(self, event: SocketUp, now: Moment) -> list[Output]:
        """A device that comes up rings if its user does, and hears of the calls he may join."""
        by, out = event.by, list[Output]()
        for call in self._register.concerning(by.user_id):
            device = call.devices.get(by.device_id)
            if device is not None and device.state == "away":
                held = call.back(device, at(by))
                back = [Told(call.view(), at(by)), *held]
                out.extend(self._register.done(call, back, now))
            elif by.user_id in call.ringing:
                out.append(Rung(call.view(), (by.user_id,), call.ring_until_ms, at(by)))
            elif call.state == "active" or device is not None:
                out.append(Told(call.view(), at(by)))
        silent = (call for call in self._register.silent() if by.user_id not in call.users)
        calls = tuple((call.id, call.room_id) for call in islice(silent, OFFERED))
        if calls:
            out.append(Offered(by, calls))
        return out

    def _shown(self, event: Shown, now: Moment) -> list[Output]:
        call = self._register.calls.get(event.call_id)
        return [] if call is None or call.over else [Told(call.view(), at(event.by))]

    def _member_in(self, event: MemberIn, now: Moment) -> list[Output]:
        """He does not ring, but sees what he may join."""
        call = self._register.running(event.room_id)
        if call is None:
            return []
        if call.invited:
            call.invited |= {event.user_id}
        told = Told(call.view(), ToUser(event.user_id))
        return self._register.done(call, [told], now)

    def _socket_down(self, event: SocketDown, now: Moment) -> list[Output]:
        out: list[Output] = []
        for call in self._register.joined(event.by.user_id):
            device = call.devices.get(event.by.device_id)
            if device is None or device.at != at(event.by) or device.state == "away":
                continue
            out.extend(self._register.done(call, call.vanish(device, now), now))
        return out

    def _member_out(self, event: MemberOut, now: Moment) -> list[Output]:
        call = self._register.running(event.room_id)
        if call is None:
            return []
        out: list[Output] = []
        call.invited -= {event.user_id}
        if event.user_id in call.ringing:
            out.extend(call.remove_ringing(event.user_id, now))
        for device in call.devices_of(event.user_id):
            if device.device_id in call.devices:  # the first of them may have ended it
                out.extend(call.leave(device, "removed", now))
                out.append(Told(call.view("hung_up"), ToUser(event.user_id)))
        return self._register.done(call, out, now)

    def _device_out(self, event: DeviceOut, now: Moment) -> list[Output]:
        out: list[Output] = []
        for call in self._register.joined(event.user_id):
            device = call.devices.get(event.device_id)
            if device is not None:
                out.extend(self._register.done(call, call.leave(device, "leave", now), now))
        return out

    def _nodes_left(self, event: NodesLeft, now: Moment) -> list[Output]:
        out: list[Output] = []
        for call in self._register.open():
            for device in tuple(call.devices.values()):
                if device.at.node_id not in event.alive and device.state != "away":
                    out.extend(self._register.done(call, call.vanish(device, now), now))
        return out

    def _restore(self, event: Restore, now: Moment) -> list[Output]:
        saved = event.saved
        if saved.call_id in self._register.calls:
            return []
        another_runs = self._register.running(saved.room_id) is not None
        call = restore(saved, event.alive, now)
        self._register.add(call)
        if saved.reason is not None:
            return self._register.done(call, [Ended(call.record(saved.reason))], now)
        if another_runs:
            return self._register.done(call, call.end("failed", now), now)
        out: list[Output] = [Noted("call.restored", call.state, call.id)]
        if call.mode == "sfu":
            out.extend(Commanded(command) for command in call.plane_commands())
        return self._register.done(call, out, now)

    def _recall(self, event: Recall, now: Moment) -> list[Output]:
        if event.record.call_id not in self._register.calls:
            self._register.add_ended(recall(event.record), now)
        return []

    def _reported(self, event: Reported, now: Moment) -> list[Output]:
        report = event.report
        if isinstance(report, PlaneStarted):
            return self._plane_started(now)
        call = self._register.calls.get(report.call_id)
        if call is None or call.over:
            return []
        if isinstance(report, CallFailed):
            note = Noted("media.failed", report.reason, call.id)
            return self._register.done(call, [note, *call.end("failed", now)], now)
        device = call.devices.get(report.device_id)
        if isinstance(report, PeerConnected) and device and device.state == "taking_over":
            return self._register.done(call, call.connected(device, now), now)
        return []

    def _plane_started(self, now: Moment) -> list[Output]:
        """Everybody publishes anew to a plane that knows nothing."""
        out: list[Output] = []
        for call in [each for each in self._register.open() if each.mode == "sfu"]:
            again = [*call.to_sfu("plane_started"), Told(call.view(), ToRoom(call.room_id))]
            out.extend(self._register.done(call, again, now))
        return out

    def _tick(self, event: Tick, now: Moment) -> list[Output]:
        out: list[Output] = []
        while due := self._register.due(now):
            for call in due:
                out.extend(self._register.done(call, _what_is_due(call, now), now))
        return out


def _what_is_due(call: Call, now: Moment) -> list[Output]:
    if call.state == "ringing" and call.ring_until <= now.s:
        return call.end("no_answer", now)
    out: list[Output] = []
    for device in tuple(call.devices.values()):
        if device.device_id not in call.devices or device.until is None or device.until > now.s:
            continue
        if device.state == "away":
            out.extend(call.leave(device, "grace_over", now))
        else:
            out.extend(call.connected(device, now))
    return out
