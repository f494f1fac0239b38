"""One call: who rings, who is in, and what each move means for the others. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from msgspec import UNSET

from media.api import AddPeer, CloseCall, DropPeer, OpenCall
from server.kernel.ids import DeviceId, RoomId, UserId
from signaling.device import BY_ITSELF, GRACE_S, Device
from signaling.inputs import Moment
from signaling.outputs import At, Commanded, Ended, Noted, Output, Rung, Told, ToRoom, ToUser
from signaling.states import CallState, EndReason, Reason, call_after
from signaling.views import Attended, CallRecord, CallView, Media, Mode

RING_S = 45.0
ATTENDED_MAX = 500
"""Devices that a call's event names: some 60 KB of it."""


@dataclass(slots=True)
class Call:
    """Moves without questions: whoever calls them has checked that they are allowed.

    `invited`: the members when it began, in rooms that ring. `answered`: a second user was in.
    """

    id: str
    room_id: RoomId
    direct: bool
    media: Media
    started_by: UserId
    started_device: DeviceId
    started_ms: int
    invited: frozenset[UserId] = frozenset()
    state: CallState = "new"
    mode: Mode = "p2p"
    generation: int = 1
    answered: bool = False
    devices: dict[DeviceId, Device] = field(default_factory=dict)
    ringing: set[UserId] = field(default_factory=set)
    declined: set[UserId] = field(default_factory=set)
    attended: dict[DeviceId, Attended] = field(default_factory=dict)
    ring_until: float = 0.0
    ring_until_ms: int = 0
    reason: EndReason | None = None
    ended_ms: int = 0
    revision: int = 0
    _seen: tuple[object, ...] = ()

    # ---- what can be seen ------------------------------------------------------------------------

    def view(self, reason: Reason | None = None) -> CallView:
        """`reason`: for a user's own devices; else the reason of its end. A view that differs from
        the one before has a higher revision.
        """
        participants = tuple(device.view for device in self.devices.values())
        seen = (self.state, self.mode, self.generation, participants)
        if seen != self._seen:
            self._seen = seen
            self.revision += 1
        why = reason or self.reason
        return CallView(
            self.id, self.room_id, self.media, self.mode, self.generation, self.state,
            self.started_by, self.started_ms, participants, UNSET if why is None else why,
            self.revision,
        )  # fmt: skip

    @property
    def over(self) -> bool:
        return self.state == "ended"

    @property
    def users(self) -> set[UserId]:
        """Those who are in it."""
        return {device.user_id for device in self.devices.values()}

    @property
    def concerned(self) -> set[UserId]:
        """Those who hear of it when they come up."""
        return set() if self.over else self.users | self.invited

    def devices_of(self, user_id: UserId) -> list[Device]:
        return [device for device in self.devices.values() if device.user_id == user_id]

    def deadline(self) -> float | None:
        times = [d.until for d in self.devices.values() if d.until is not None]
        if self.state == "ringing":
            times.append(self.ring_until)
        return None if self.over else min(times, default=None)

    # ---- how it begins ---------------------------------------------------------------------------

    def open(self, event: str, ring: Iterable[UserId], now: Moment) -> list[Output]:
        """`event`: ring, open or busy; `ring`: whose devices ring."""
        self.state = call_after(self.state, event)
        if event == "busy":
            return self._finish("busy", now)
        self.ringing = set(ring)
        self.ring_until, self.ring_until_ms = now.s + RING_S, now.ms + round(RING_S * 1000)
        out: list[Output] = [Told(self.view(), ToRoom(self.room_id))]
        if self.ringing:
            out.append(Rung(self.view(), tuple(sorted(self.ringing)), self.ring_until_ms))
        return out

    # ---- devices ---------------------------------------------------------------------------------

    def join(self, device: Device) -> list[Output]:
        """A device comes in, and the first of another user answers the call."""
        device.move("join")
        self.devices[device.device_id] = device
        answers = self.state == "ringing" and device.user_id != self.started_by
        self.answered = self.answered or len(self.users) > 1
        out = self._carry_media(device)
        if not answers:
            if self.state == "active":
                device.list_tracks(self.media)
            return [*out, Told(self.view(), ToRoom(self.room_id))]
        self.state = call_after(self.state, "accept")
        for each in self.devices.values():
            each.list_tracks(self.media)
        return [*out, *self._stop_others(device)]

    def take_over(self, device: Device, until: float, now: Moment) -> list[Output]:
        """A device comes in beside one of the same user, and replaces it later. One that was about
        to do so is out: the last choice counts.
        """
        older = self.devices_of(device.user_id)
        out: list[Output] = []
        for earlier in older:
            if earlier.state == "taking_over":
                out.extend(self._part(earlier, "replaced", now))
                out.append(Told(self.view("answered_elsewhere"), earlier.at))
        device.move("take_over")
        device.until = until
        device.tracks = {s: older[0].tracks[s] for s in BY_ITSELF if s in older[0].tracks}
        self.devices[device.device_id] = device
        return [*out, *self._carry_media(device), Told(self.view(), ToRoom(self.room_id))]

    def connected(self, device: Device, now: Moment) -> list[Output]:
        """The device that takes over can be heard: the older ones of its user leave."""
        device.move("connected")
        out: list[Output] = []
        for older in self.devices_of(device.user_id):
            if older is device:
                continue
            out.extend(self._part(older, "replaced", now))
            out.append(Told(self.view("answered_elsewhere"), older.at))
        return [*out, Told(self.view(), ToRoom(self.room_id))]

    def vanish(self, device: Device, now: Moment) -> list[Output]:
        taking_over = device.state == "taking_over"
        if taking_over:
            out = self._part(device, "vanish", now)
            return [*out, Told(self.view(), ToRoom(self.room_id))]
        device.move("vanish")
        device.until = now.s + GRACE_S
        return [Noted("device.vanished", "socket_closed", self.id, device.user_id)]

    def back(self, device: Device, at: At) -> list[Output]:
        """Through another socket, or the same; what waited is sent."""
        device.at = at
        if device.state == "away":
            device.move("return")
        held, device.held = device.held, []
        return [replace(signal, to=at) for signal in held]

    def leave(self, device: Device, event: str, now: Moment) -> list[Output]:
        """`event`: leave, removed or grace_over."""
        out = self._part(device, event, now)
        left = self.devices_of(device.user_id)
        if left and all(each.state == "taking_over" for each in left):
            return [*out, *self.connected(left[-1], now)]  # nobody is there to wait for
        return [*out, *self._after_parting(event, now)]

    # ---- ringing ---------------------------------------------------------------------------------

    def decline(self, user_id: UserId, now: Moment) -> list[Output]:
        """One of those who ring; the call ends with the last of them."""
        self.declined.add(user_id)
        if self.ringing == {user_id}:
            return self.end("declined", now)
        self.ringing.discard(user_id)
        told = Told(self.view("declined"), ToUser(user_id), stops=(user_id,))
        return [Noted("ringing.stopped", "declined", self.id, user_id), told]

    def remove_ringing(self, user_id: UserId, now: Moment) -> list[Output]:
        """He is no member any more, so that what the room is told does not reach him."""
        told = Told(self.view("cancelled"), ToUser(user_id), stops=(user_id,))
        self.ringing.discard(user_id)
        if self.state == "ringing" and not self.ringing:
            return [told, *self.end("declined" if self.declined else "cancelled", now)]
        return [told]

    # ---- how it ends -----------------------------------------------------------------------------

    def end(self, reason: EndReason, now: Moment) -> list[Output]:
        self.state = call_after(self.state, reason)
        out: list[Output] = []
        for device in tuple(self.devices.values()):
            out.extend(self._part(device, "end", now))
        return [*out, *self._finish(reason, now)]

    def _finish(self, reason: EndReason, now: Moment) -> list[Output]:
        self.reason, self.ended_ms = reason, max(now.ms, self.started_ms)
        stops, self.ringing = tuple(sorted(self.ringing)), set()
        out: list[Output] = [Told(self.view(), ToRoom(self.room_id), stops)]
        if self.mode == "sfu":
            out.append(Commanded(CloseCall(self.id)))
        out.append(Noted("call.ended", reason, self.id))
        out.append(Ended(self.record(reason)))
        return out

    def record(self, reason: EndReason) -> CallRecord:
        return CallRecord(
            self.id, self.room_id, self.started_by, self.started_device, self.media,
            self.started_ms, self.ended_ms, reason, tuple(self.attended.values()),
        )  # fmt: skip

    # ---- media -----------------------------------------------------------------------------------

    def to_sfu(self, why: str) -> list[Output]:
        """Everybody publishes to the packet plane, or anew; the generation grows."""
        self.mode = "sfu"
        self.generation += 1
        return [
            Noted("call.generation", why, self.id),
            *(Commanded(command) for command in self.plane_commands()),
        ]

    def plane_commands(self) -> list[OpenCall | AddPeer]:
        """What a plane that knows nothing must be told."""
        peers = [AddPeer(self.id, d.device_id, d.user_id) for d in self.devices.values()]
        return [OpenCall(self.id, self.generation), *peers]

    def _carry_media(self, device: Device) -> list[Output]:
        if self.mode == "p2p":
            return []
        return [Commanded(AddPeer(self.id, device.device_id, device.user_id))]

    # ---- inside ----------------------------------------------------------------------------------

    def _stop_others(self, device: Device) -> list[Output]:
        """The first accept: all others ring no more, one's own other devices hear why."""
        user_id, was_ringing = device.user_id, device.user_id in self.ringing
        others = tuple(sorted(self.ringing - {user_id}))
        self.ringing = set()
        if not was_ringing:
            return [Told(self.view(), ToRoom(self.room_id), others)]
        own = ToUser(user_id, without=device.at)
        return [
            Told(self.view(), ToRoom(self.room_id, without=user_id), others),
            Told(self.view(), device.at),
            Told(self.view("answered_elsewhere"), own, (user_id,)),
        ]

    def _part(self, device: Device, event: str, now: Moment) -> list[Output]:
        device.move(event)
        del self.devices[device.device_id]
        self._note_stay(device, max(now.ms, device.joined_ms))
        out: list[Output] = [Noted("device.left", event, self.id, device.user_id)]
        if self.mode == "sfu" and not self.over:
            out.append(Commanded(DropPeer(self.id, device.device_id)))
        return out

    def _note_stay(self, device: Device, left_ms: int) -> None:
        earlier = self.attended.get(device.device_id)
        joined_ms = device.joined_ms if earlier is None else earlier.joined_at
        if earlier is not None or len(self.attended) < ATTENDED_MAX:
            stay = Attended(device.user_id, device.device_id, joined_ms, left_ms)
            self.attended[device.device_id] = stay

    def _after_parting(self, event: str, now: Moment) -> list[Output]:
        gone = "failed" if event == "grace_over" else None
        if self.state == "ringing" and not self.devices:
            return self.end("failed" if gone else "cancelled", now)
        alone = self.direct and self.answered and len(self.users) < 2
        if self.state == "active" and (alone or not self.devices):
            why: EndReason = "failed" if gone else "hung_up" if self.answered else "cancelled"
            return self.end(why, now)
        return [Told(self.view(), ToRoom(self.room_id))]
