"""Calls of rooms too large to ring are at hand in the order in which they began."""

from __future__ import annotations

import random
from typing import Any

from server.kernel.ids import DeviceId, RoomId, UserId
from signaling.call import Call
from signaling.happenings import OFFERED, Happenings
from signaling.inputs import Caller, Moment, SocketUp
from signaling.outputs import Offered
from signaling.register import Register

NOW = Moment(0.0, 0)
SEED = 5


class Counting(dict[str, Call]):
    """Counts the calls that are looked at."""

    looks = 0

    def __getitem__(self, call_id: str) -> Call:
        self.looks += 1
        return super().__getitem__(call_id)


def call(number: int) -> Call:
    room_id = RoomId(f"room-{number}")
    of = Call(
        f"call-{number:05}", room_id, False, "audio", UserId("alice"), DeviceId("alice"), 0
    )  # fmt: skip
    of.open("open", (), NOW)
    return of


def numbers(calls: Any) -> list[int]:
    return [int(each.id.removeprefix("call-")) for each in calls]


def test_the_newest_is_the_first_whenever_they_were_restored_changed_and_ended() -> None:
    register, chosen = Register(), random.Random(SEED)
    expected: set[int] = set()

    for _ in range(500):
        number = chosen.randrange(60)
        if number not in expected:
            register.add(call(number))
            register.done(register.calls[f"call-{number:05}"], (), NOW)
            expected.add(number)
        elif chosen.random() < 0.4:
            register.drop(f"call-{number:05}")
            expected.discard(number)
        elif chosen.random() < 0.4:
            ended = register.calls[f"call-{number:05}"]
            register.done(ended, ended.end("hung_up", NOW), NOW)
            register.drop(ended.id)
            expected.discard(number)
        else:
            register.done(register.calls[f"call-{number:05}"], (), NOW)

        assert numbers(register.silent()) == sorted(expected, reverse=True), SEED


def test_a_socket_that_comes_up_looks_at_no_more_calls_than_it_is_shown() -> None:
    register = Register()
    register.calls = Counting()
    for number in range(1_000):
        register.add(call(number))
        register.done(register.calls[f"call-{number:05}"], (), NOW)
    register.calls.looks = 0
    bob = Caller(UserId("bob"), DeviceId("bob"), "socket")  # type: ignore[arg-type]

    (offered,) = Happenings(register).steps[SocketUp](SocketUp(bob), NOW)

    assert isinstance(offered, Offered)
    assert [call_id for call_id, _ in offered.calls] == [
        f"call-{number:05}" for number in range(999, 999 - OFFERED, -1)
    ]
    assert register.calls.looks == OFFERED
