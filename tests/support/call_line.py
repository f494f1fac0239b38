"""The call core with people at it: devices that ring and stop, in virtual time, all checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from media.api import Command as MediaCommand
from server.kernel.ids import DeviceId, NodeId, RoomId, SocketId, UserId
from signaling.inputs import (
    Accept,
    Caller,
    Decline,
    End,
    Input,
    Leave,
    MemberIn,
    MemberOut,
    Moment,
    Mute,
    Restore,
    RoomFacts,
    Shown,
    Signal,
    SocketDown,
    SocketUp,
    Start,
    Tick,
)
from signaling.outputs import (
    Answered,
    At,
    Carried,
    Commanded,
    Ended,
    Noted,
    Offered,
    Output,
    Refused,
    Rung,
    Saved,
    Told,
    ToRoom,
    ToUser,
)
from signaling.rules import CallLimits
from signaling.switchboard import Switchboard
from signaling.views import CallRecord, CallView, SavedCall

START_MS = 1_800_000_000_000


@dataclass
class Room:
    id: RoomId
    members: dict[UserId, str]
    direct: bool
    may_call: bool = True


@dataclass
class Phone:
    """A device: what it heard, and which calls ring on it."""

    by: Caller
    up: bool = True
    sockets: int = 1
    open: list[Caller] = field(default_factory=list)
    rings: set[str] = field(default_factory=set)
    heard: list[CallView] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)

    @property
    def at(self) -> At:
        return At(self.by.node_id, self.by.socket_id)


class Line:
    """`acts` with the last answer or refusal; everything told reaches the phones that are up.

    Checks always: a phone that is told to stop rings; what has ended is told as ended; generations
    and revisions only grow, and one revision is one state; a call is logged once.
    """

    def __init__(self, limits: CallLimits | None = None) -> None:
        self.limits = limits or CallLimits()
        self.core = Switchboard(self.limits)
        self.s, self.ms = 0.0, START_MS
        self.rooms: dict[str, Room] = {}
        self.phones: dict[str, Phone] = {}
        self.logged: list[CallRecord] = []
        self.kept: dict[str, SavedCall] = {}
        self.media: list[MediaCommand] = []
        self.notes: list[Noted] = []
        self.generations: Counter[str] = Counter()
        self.revisions: Counter[str] = Counter()
        self.revised: dict[tuple[str, int], CallView] = {}
        self.rung: set[tuple[str, UserId]] = set()
        """Whose devices were told to ring and not to stop yet."""
        self._calls = 0

    # ---- people ----------------------------------------------------------------------------------

    def room(self, room_id: str, *names: str, direct: bool | None = None) -> str:
        """The first of the names is its owner."""
        members = {UserId(name): "owner" if name == names[0] else "member" for name in names}
        direct = len(names) == 2 if direct is None else direct
        self.rooms[room_id] = Room(RoomId(room_id), members, direct)
        return room_id

    def phone(self, name: str, *, up: bool = True) -> Phone:
        """`alice.laptop` is a device of Alice."""
        user = name.partition(".")[0]
        by = Caller(UserId(user), DeviceId(name), SocketId(f"{name}#1"), NodeId("here"))
        phone = self.phones[name] = Phone(by, up)
        phone.open = [by] if up else []
        return phone

    def comes_up(self, name: str) -> None:
        phone = self.phones.get(name) or self.phone(name, up=False)
        phone.sockets += 1
        phone.by = msgspec.structs.replace(phone.by, socket_id=SocketId(f"{name}#{phone.sockets}"))
        phone.rings.clear()  # the new socket tells it anew
        phone.up = True
        phone.open.append(phone.by)
        self.handle(SocketUp(phone.by))

    def vanishes(self, name: str) -> None:
        phone = self.phones[name]
        phone.up = False
        phone.rings.clear()
        while phone.open:
            self.handle(SocketDown(phone.open.pop()))

    def comes_in(self, name: str, room_id: str) -> None:
        """Into the room."""
        self.rooms[room_id].members[UserId(name)] = "member"
        self.handle(MemberIn(RoomId(room_id), UserId(name)))

    def goes(self, name: str, room_id: str) -> None:
        self.rooms[room_id].members.pop(UserId(name), None)
        self.handle(MemberOut(RoomId(room_id), UserId(name)))

    # ---- commands --------------------------------------------------------------------------------

    def starts(self, name: str, room_id: str, media: str = "audio") -> Output:
        self._calls += 1
        call_id = f"call-{self._calls:04}"
        return self._asks(Start(self._by(name), self._facts(name, room_id), media, call_id))  # type: ignore[arg-type]

    def accepts(self, name: str, call_id: str = "", *, take_over: bool = False) -> Output:
        call_id = call_id or self.last
        call = self.core.call(call_id)
        room_id = call.room_id if call else next(iter(self.rooms))
        return self._asks(Accept(self._by(name), call_id, self._facts(name, room_id), take_over))

    def declines(self, name: str) -> Output:
        return self._asks(Decline(self._by(name), self.last))

    def leaves(self, name: str) -> Output:
        return self._asks(Leave(self._by(name), self.last))

    def ends(self, name: str) -> Output:
        call = self.core.call(self.last)
        facts = self._facts(name, call.room_id if call else next(iter(self.rooms)))
        return self._asks(End(self._by(name), self.last, facts.role))

    def signals(self, name: str, to: str, what: str = "offer") -> Output:
        raw = msgspec.json.encode(what)
        return self._asks(Signal(self._by(name), self.last, DeviceId(to), raw))

    def mutes(self, name: str, track: str = "mic", muted: bool = True) -> Output:
        return self._asks(Mute(self._by(name), self.last, track, muted))

    # ---- time ------------------------------------------------------------------------------------

    def passes(self, seconds: float) -> None:
        """Each deadline is kept to the moment."""
        end = self.s + seconds
        while (due := self.core.next_deadline()) is not None and due <= end:
            self._advance(max(due - self.s, 0.0))
            self.handle(Tick())
        self._advance(end - self.s)
        self.handle(Tick())

    def is_killed(self, after_s: float = 0.0) -> None:
        """The process dies and comes back with what was kept; all sockets are gone."""
        self._advance(after_s)
        for phone in self.phones.values():
            phone.up = False
            phone.rings.clear()
            phone.open.clear()
        self.core = Switchboard(self.limits)
        for saved in tuple(self.kept.values()):
            self.handle(Restore(saved))

    # ---- what can be asked -----------------------------------------------------------------------

    @property
    def last(self) -> str:
        return f"call-{self._calls:04}"

    @property
    def view(self) -> CallView:
        call = self.core.call(self.last)
        assert call is not None
        return call.view()

    @property
    def inside(self) -> list[str]:
        """The devices that are in the last call."""
        return [each.device_id for each in self.view.participants]

    @property
    def ringing(self) -> set[str]:
        return {name for name, phone in self.phones.items() if phone.rings}

    def why(self, output: Output) -> str:
        """The code of a refusal; what was answered otherwise."""
        return output.error.code if isinstance(output, Refused) else "ok"

    def reasons(self, name: str) -> list[object]:
        """Of the states that the device heard, those with a reason."""
        return [each.reason for each in self.phones[name].heard if each.reason is not msgspec.UNSET]

    # ---- inside ----------------------------------------------------------------------------------

    def handle(self, event: Input) -> list[Output]:
        out = self.core.handle(event, Moment(self.s, self.ms))
        for output in out:
            self._does(output)
        return out

    def _asks(self, event: Input) -> Output:
        out = self.handle(event)
        answers = [each for each in out if isinstance(each, Answered | Refused)]
        assert answers == out[:1], "one answer, first of all"
        return answers[0]

    def _advance(self, seconds: float) -> None:
        self.s += seconds
        self.ms += round(seconds * 1000)

    def _by(self, name: str) -> Caller:
        return (self.phones.get(name) or self.phone(name)).by

    def _facts(self, name: str, room_id: str) -> RoomFacts:
        room = self.rooms[room_id]
        role = room.members.get(self._by(name).user_id, "member")
        return RoomFacts(room.id, room.direct, role, tuple(room.members), room.may_call)  # type: ignore[arg-type]

    def _does(self, output: Output) -> None:
        match output:
            case Answered(call) if call is not None:
                self._revision(call)
            case Rung():
                for phone in self._rung(output):
                    assert output.call.id not in phone.rings, "rings twice"
                    phone.rings.add(output.call.id)
            case Told():
                self._tell(output)
            case Offered():
                self._offered(output)
            case Carried():
                for phone in self._phones_at(output.to):
                    phone.signals.append(msgspec.json.decode(output.signal))
            case Ended():
                self.logged.append(output.record)
                assert output.record.call_id not in {call_id for call_id, _ in self.rung}
            case Saved():
                self.kept[output.call.call_id] = output.call
                if output.call.reason is not None:
                    del self.kept[output.call.call_id]
            case Commanded():
                self.media.append(output.command)
            case Noted():
                self.notes.append(output)

    def _offered(self, offered: Offered) -> None:
        for call_id, room_id in offered.calls:
            if offered.by.user_id in self.rooms[room_id].members:
                self.handle(Shown(offered.by, call_id))

    def _rung(self, rung: Rung) -> list[Phone]:
        call = self.core.call(rung.call.id)
        assert call is not None
        assert not call.over, "rings after its end"
        assert rung.expires_at <= self.ms + 45_000
        if rung.only is not None:
            assert {(call.id, user_id) for user_id in rung.user_ids} <= self.rung
            return self._phones_at(rung.only)
        self.rung |= {(call.id, user_id) for user_id in rung.user_ids}
        users = set(rung.user_ids)
        return [p for p in self.phones.values() if p.up and p.by.user_id in users]

    def _tell(self, told: Told) -> None:
        assert told.call.generation >= self.generations[told.call.id], "generations only grow"
        self.generations[told.call.id] = told.call.generation
        self._revision(told.call)
        assert told.call.revision >= self.revisions[told.call.id], "revisions only grow"
        self.revisions[told.call.id] = told.call.revision
        hearers = self._hearers(told.to)
        for phone in hearers:
            phone.heard.append(told.call)
        for user_id in told.stops:
            assert (told.call.id, user_id) in self.rung, "told to stop twice"
            self.rung.discard((told.call.id, user_id))
            for phone in self.phones.values():
                if phone.up and phone.by.user_id == user_id and told.call.id in phone.rings:
                    assert phone in hearers or phone.by.device_id in self._devices(told), phone
                    phone.rings.discard(told.call.id)

    def _revision(self, call: CallView) -> None:
        state = msgspec.structs.replace(call, reason=msgspec.UNSET)
        known = self.revised.setdefault((call.id, call.revision), state)
        assert known == state, "one revision is one state"

    def _devices(self, told: Told) -> set[str]:
        """Those in the call need not be told that it rings no more."""
        return {each.device_id for each in told.call.participants}

    def _hearers(self, to: ToRoom | ToUser | At) -> list[Phone]:
        if isinstance(to, At):
            return self._phones_at(to)
        up = [phone for phone in self.phones.values() if phone.up]
        if isinstance(to, ToUser):
            return [p for p in up if p.by.user_id == to.user_id and p.at != to.without]
        members = self.rooms[to.room_id].members
        return [p for p in up if p.by.user_id in members and p.by.user_id != to.without]

    def _phones_at(self, at: At) -> list[Phone]:
        return [phone for phone in self.phones.values() if phone.up and phone.at == at]
