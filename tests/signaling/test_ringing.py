"""Who rings, and what ends it."""

from __future__ import annotations

import pytest

from server.kernel.errors import Conflict, Forbidden, NotFound, RateLimited, Unavailable
from signaling.outputs import Answered, Refused
from signaling.rules import CallLimits
from tests.support.call_line import START_MS, Line


def error(output: object) -> type[Exception]:
    assert isinstance(output, Refused)
    return type(output.error)


def test_a_call_rings_on_every_device_of_every_other_member(line: Line) -> None:
    answer = line.starts("alice", "garden", "video")

    assert line.ringing == {"bob", "bob.laptop", "carol", "dave"}
    assert isinstance(answer, Answered)
    assert answer.call is not None
    assert (answer.call.state, answer.call.mode, answer.call.generation) == ("ringing", "p2p", 1)
    assert [each.device_id for each in answer.call.participants] == ["alice"]


def test_the_first_accept_wins_and_the_rest_stop_at_once(line: Line) -> None:
    line.starts("alice", "duo")

    line.accepts("bob.laptop")

    assert line.ringing == set()
    assert line.reasons("bob") == ["answered_elsewhere"]
    assert line.reasons("bob.laptop") == line.reasons("alice") == []
    assert (line.view.state, line.inside) == ("active", ["alice", "bob.laptop"])


def test_in_a_group_the_others_stop_too_and_see_that_it_runs(line: Line) -> None:
    line.starts("alice", "garden")

    line.accepts("bob")

    assert line.ringing == set()
    assert line.phones["carol"].heard[-1].state == "active"
    assert line.reasons("carol") == []


def test_one_of_several_declines_and_the_others_ring_on(line: Line) -> None:
    line.starts("alice", "garden")

    line.declines("bob")

    assert line.ringing == {"carol", "dave"}
    assert line.reasons("bob.laptop") == line.reasons("bob") == ["declined"]
    assert line.view.state == "ringing"


def test_the_last_to_decline_ends_the_call(line: Line) -> None:
    line.starts("alice", "garden")
    for name in ("bob", "carol", "dave"):
        line.declines(name)

    assert (line.view.state, line.view.reason) == ("ended", "declined")
    assert line.ringing == set()
    assert [record.outcome for record in line.logged] == ["declined"]


def test_nobody_answers_for_45_s(line: Line) -> None:
    line.starts("alice", "duo")
    line.passes(44.9)
    before = line.ringing

    line.passes(0.2)

    assert before == {"bob", "bob.laptop"}
    assert line.ringing == set()
    assert line.view.reason == "no_answer"
    record = line.logged[0]
    assert (record.started_at, record.ended_at) == (START_MS, START_MS + 45_000)


def test_the_caller_cancels(line: Line) -> None:
    line.starts("alice", "duo")

    line.leaves("alice")

    assert (line.view.reason, line.ringing) == ("cancelled", set())
    assert line.reasons("bob") == line.reasons("bob.laptop") == ["cancelled"]


def test_end_while_it_rings_is_a_cancellation(line: Line) -> None:
    line.starts("alice", "garden")

    line.ends("alice.laptop")

    assert line.view.reason == "cancelled"


def test_who_is_in_a_call_is_busy(line: Line) -> None:
    line.room("pair", "bob", "carol")
    line.starts("bob", "pair")
    line.accepts("carol")

    answer = line.starts("alice", "duo")

    assert isinstance(answer, Answered)
    assert answer.call is not None
    assert (answer.call.state, answer.call.reason) == ("ended", "busy")
    assert line.ringing == set()
    assert [record.outcome for record in line.logged] == ["busy"]


def test_in_a_group_the_busy_one_does_not_ring_and_the_reason_is_noted(line: Line) -> None:
    line.room("pair", "bob", "eve")
    line.phone("eve")
    line.starts("bob", "pair")
    line.accepts("eve")

    line.starts("alice", "garden")

    assert line.ringing == {"carol", "dave"}
    assert ("ringing.skipped", "busy", "bob") in [(n.what, n.why, n.user_id) for n in line.notes]


def test_two_starts_are_one_call(line: Line) -> None:
    first = line.starts("alice", "duo")
    ringing = line.view
    second = line.starts("bob", "duo")

    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert second.call is not None
    assert second.call.id == ringing.id
    assert second.call.state == "active"
    assert [each.user_id for each in second.call.participants] == ["alice", "bob"]
    assert line.ringing == set()


def test_a_start_from_ones_other_device_only_finds_the_call(line: Line) -> None:
    line.starts("alice", "duo")

    answer = line.starts("alice.laptop", "duo")

    assert isinstance(answer, Answered)
    assert answer.call is not None
    assert [each.device_id for each in answer.call.participants] == ["alice"]
    assert line.ringing == {"bob", "bob.laptop"}


def test_a_device_that_comes_up_while_it_rings_rings(line: Line) -> None:
    line.starts("alice", "duo")
    line.passes(10)

    line.comes_up("bob.tablet")

    assert "bob.tablet" in line.ringing
    line.accepts("bob.tablet")
    assert line.ringing == set()


def test_a_device_of_one_who_declined_does_not_ring(line: Line) -> None:
    line.starts("alice", "garden")
    line.declines("bob")

    line.comes_up("bob.tablet")

    assert "bob.tablet" not in line.ringing


def test_a_device_that_comes_up_hears_of_a_call_it_may_join(line: Line) -> None:
    line.starts("alice", "garden")
    line.accepts("bob")

    line.comes_up("carol.tablet")

    assert [each.state for each in line.phones["carol.tablet"].heard] == ["active"]
    assert "carol.tablet" not in line.ringing


def test_a_large_room_does_not_ring_but_shows_the_call(line: Line) -> None:
    names = [f"member{n}" for n in range(33)]
    line.room("hall", *names)
    line.phone("member5")

    line.starts("member0", "hall")

    assert line.ringing == set()
    assert line.phones["member5"].heard[-1].state == "active"
    line.accepts("member5")
    assert line.inside == ["member0", "member5"]


def test_in_a_large_room_a_device_that_comes_up_sees_the_call_while_it_runs(line: Line) -> None:
    line.room("hall", *(f"member{n}" for n in range(33)))
    line.starts("member0", "hall")
    line.comes_up("member5")
    line.comes_up("alice")

    line.leaves("member0")
    line.comes_up("member6")

    assert [each.state for each in line.phones["member5"].heard] == ["active", "ended"]
    assert line.phones["alice"].heard == line.phones["member6"].heard == []


@pytest.mark.parametrize("room", ["garden", "hall"])
def test_who_comes_into_the_room_sees_the_call_that_runs_there(line: Line, room: str) -> None:
    line.room("hall", *(f"member{n}" for n in range(33)))
    starter = next(iter(line.rooms[room].members))
    line.starts(starter, room)
    line.phone("zoe")

    line.comes_in("zoe", room)
    line.comes_up("zoe.laptop")
    line.accepts("zoe")

    seen = {
        name: [each.state for each in line.phones[name].heard] for name in ("zoe", "zoe.laptop")
    }
    assert [states[-1] for states in seen.values()] == ["active", "active"]
    assert len(seen["zoe"]) == 2
    assert line.ringing == set()
    assert line.inside == [starter, "zoe"]


def test_a_room_of_32_rings(line: Line) -> None:
    line.room("hall", *(f"member{n}" for n in range(32)))
    line.phone("member31")

    line.starts("member0", "hall")

    assert line.ringing == {"member31"}


def test_a_member_who_goes_rings_no_more(line: Line) -> None:
    line.starts("alice", "garden")

    line.goes("bob", "garden")

    assert line.ringing == {"carol", "dave"}
    assert line.reasons("bob") == ["cancelled"]


def test_when_the_last_who_rings_goes_the_call_ends(line: Line) -> None:
    line.room("three", "alice", "bob", direct=False)
    line.starts("alice", "three")

    line.goes("bob", "three")

    assert line.view.reason == "cancelled"
    assert line.ringing == set()


def test_late_answers_are_no_faults(line: Line) -> None:
    line.starts("alice", "duo")
    line.accepts("bob")
    late = [line.declines("bob.laptop")]
    line.leaves("bob")
    late += [line.declines("bob"), line.leaves("bob"), line.ends("alice")]

    assert [error(late[0]), *late[1:]] == [Conflict, Answered(), Answered(), Answered()]


def test_an_ended_call_cannot_be_accepted(line: Line) -> None:
    line.starts("alice", "duo")
    line.declines("bob")

    assert error(line.accepts("bob")) is Conflict
    line.passes(700)
    line.starts("alice", "garden")
    line.ends("alice")
    assert error(line.accepts("bob", "call-0001")) is NotFound


def test_an_unknown_call_is_not_found(line: Line) -> None:
    line._calls = 77

    refused = [line.accepts("bob"), line.declines("bob"), line.leaves("bob"), line.ends("bob")]
    refused += [line.signals("bob", "alice"), line.mutes("bob")]

    assert {error(output) for output in refused} == {NotFound}


def test_who_may_not_call_neither_starts_nor_joins(line: Line) -> None:
    line.starts("alice", "garden")
    line.rooms["garden"].may_call = False
    line.rooms["duo"].may_call = False

    assert error(line.accepts("bob", "call-0001")) is Forbidden
    assert error(line.starts("bob", "garden")) is Forbidden
    assert error(line.starts("carol", "duo")) is Forbidden


def test_who_is_blocked_by_the_caller_may_answer_him(line: Line) -> None:
    line.starts("alice", "duo")
    line.rooms["duo"].may_call = False

    line.accepts("bob")

    assert line.view.state == "active"


def test_only_starter_owner_and_admins_end_for_all(line: Line) -> None:
    line.starts("bob", "garden")
    line.accepts("carol")

    assert error(line.ends("carol")) is Forbidden
    assert line.ends("alice") == Answered()
    assert (line.view.state, line.view.reason) == ("ended", "hung_up")


def test_a_user_is_in_a_few_calls_at_most(line: Line) -> None:
    for number in range(5):
        line.room(f"room{number}", "alice", direct=False)

    answers = [line.starts("alice", f"room{number}") for number in range(5)]

    assert [type(answer) for answer in answers] == [Answered] * 4 + [Refused]
    assert error(answers[4]) is Conflict
    line.room("other", "zoe", direct=False)
    line.phone("zoe")
    line.starts("zoe", "other")
    assert error(line.accepts("alice")) is Conflict


def test_starts_have_a_pace() -> None:
    line = Line(CallLimits(starts_burst=2))
    line.room("duo", "alice", "bob")

    answers = []
    for _ in range(3):
        answers.append(line.starts("alice", "duo"))
        line.ends("alice") if isinstance(answers[-1], Answered) else None

    assert error(answers[2]) is RateLimited
    assert isinstance(answers[2], Refused)
    assert answers[2].error.retry_after_s == 5.0


def test_a_full_server_says_so() -> None:
    line = Line(CallLimits(calls=1))
    line.room("duo", "alice", "bob")
    line.room("pair", "carol", "dave")
    line.starts("alice", "duo")

    assert error(line.starts("carol", "pair")) is Unavailable
