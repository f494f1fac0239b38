"""Random schedules of people, sockets and restarts in virtual time; the line checks every step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.rules import CallLimits
from tests.support.call_line import Line

PEOPLE = ("alice", "bob", "carol", "dave")
DEVICES = tuple(f"{name}{kind}" for name in PEOPLE for kind in ("", ".laptop"))
ROOMS = {"duo": ("alice", "bob"), "pair": ("bob", "carol"), "garden": PEOPLE}
MOVES = (
    "starts", "starts", "accepts", "accepts", "takes_over", "declines", "leaves", "ends",
    "vanishes", "comes_up", "comes_up", "signals", "mutes", "passes", "passes", "goes", "comes_in",
    "is_killed",
)  # fmt: skip

step = st.tuples(
    st.sampled_from(MOVES),
    st.sampled_from(DEVICES),
    st.sampled_from(tuple(ROOMS)),
    st.sampled_from((0.5, 1.0, 3.0, 5.0, 14.0, 16.0, 44.0, 46.0)),
    st.integers(0, 3),
)


class Play:
    """One schedule. Every call that was ever started is looked at after each step."""

    def __init__(self, sfu: bool) -> None:
        self.sfu = sfu
        self.line = Line(CallLimits(sfu=sfu, starts_per_s=0, signals_per_s=0, changes_per_s=0))
        for room, names in ROOMS.items():
            self.line.room(room, *names)
        for name in DEVICES:
            self.line.phone(name)
        self.calls: set[str] = set()

    def does(self, move: str, who: str, room: str, seconds: float, back: int) -> None:
        line = self.line
        phone = line.phones[who]
        member = phone.by.user_id in line.rooms[room].members
        call_id = f"call-{max(1, line._calls - back):04}"
        if move == "passes":
            line.passes(seconds)
        elif move == "is_killed":
            line.is_killed(seconds)
        elif move == "comes_up":
            line.comes_up(who)
        elif move == "goes":
            if room == "garden":
                line.goes(phone.by.user_id, room)
        elif move == "comes_in":
            if not member:
                line.comes_in(phone.by.user_id, room)
        elif not phone.up:
            return
        elif move == "vanishes":
            line.vanishes(who)
        elif move == "starts":
            if member:
                line.starts(who, room)
        else:
            self._in_a_call(move, who, call_id)

    def _in_a_call(self, move: str, who: str, call_id: str) -> None:
        line = self.line
        call = line.core.call(call_id)
        user_id = line.phones[who].by.user_id
        if call is None or user_id not in line.rooms[call.room_id].members:
            return
        line._calls, kept = int(call_id[-4:]), line._calls
        try:
            match move:
                case "accepts":
                    line.accepts(who)
                case "takes_over":
                    line.accepts(who, take_over=True)
                case "declines":
                    line.declines(who)
                case "leaves":
                    line.leaves(who)
                case "ends":
                    line.ends(who)
                case "signals":
                    for other in line.inside:
                        line.signals(who, other)
                case "mutes":
                    line.mutes(who)
        finally:
            line._calls = kept

    def is_sound(self) -> None:
        line = self.line
        known = [line.core.call(f"call-{n:04}") for n in range(1, line._calls + 1)]
        calls = [call for call in known if call is not None]
        logged = [record.call_id for record in line.logged]
        assert len(set(logged)) == len(logged), "logged twice"
        running = [call for call in calls if not call.over]
        assert len({call.room_id for call in running}) == len(running), "two calls in a room"
        for call in calls:
            assert call.over == (call.id in logged)
            for user_id in call.users:
                devices = call.devices_of(user_id)
                taking_over = [each for each in devices if each.state == "taking_over"]
                assert len(taking_over) <= 1
                if call.direct:
                    assert len(devices) - len(taking_over) == 1
                assert len(devices) > len(taking_over), "somebody is there while it is taken over"
            if not self.sfu:
                assert call.mode == "p2p"
                assert sum(d.state != "taking_over" for d in call.devices.values()) <= 2
        for name, phone in line.phones.items():
            for call_id in phone.rings:
                call = line.core.call(call_id)
                assert call is not None
                assert call.state == "ringing", (name, "rings after the end")
                assert phone.by.user_id in call.ringing

    def ends(self) -> None:
        """Everybody goes away: all calls end and all are in the log, once."""
        for name, phone in self.line.phones.items():
            if phone.up:
                self.line.vanishes(name)
        self.line.passes(120)
        self.is_sound()
        started = {f"call-{n:04}" for n in range(1, self.line._calls + 1)}
        logged = {record.call_id for record in self.line.logged}
        assert logged <= started
        assert len(self.line.core) == 0
        assert not self.line.kept


@pytest.mark.slow
@pytest.mark.parametrize("sfu", [False, True])
def test_whatever_people_do_calls_stay_sound(sfu: bool) -> None:
    @settings(max_examples=500)
    @given(st.lists(step, min_size=5, max_size=60))
    def play(steps: list[Any]) -> None:
        schedule = Play(sfu)
        for move in steps:
            schedule.does(*move)
            schedule.is_sound()
        schedule.ends()

    play()


@given(st.lists(step, max_size=25))
@settings(max_examples=20)
def test_a_few_schedules(steps: list[Any]) -> None:
    schedule = Play(sfu=False)
    for move in steps:
        schedule.does(*move)
        schedule.is_sound()
    schedule.ends()
