"""Devices in a call: leaving, coming back, vanishing, one taking over from another."""

from __future__ import annotations

import pytest

from server.kernel.ids import DeviceId, UserId
from signaling.inputs import DeviceOut, SocketDown
from signaling.outputs import Answered
from tests.support.call_line import START_MS, Line


@pytest.fixture
def talking(line: Line) -> Line:
    """Alice and Bob, in their direct room."""
    line.starts("alice", "duo")
    line.passes(5)
    line.accepts("bob")
    return line


@pytest.fixture
def group(line: Line) -> Line:
    """Alice and Bob, in a room of four."""
    line.starts("alice", "garden")
    line.accepts("bob")
    return line


def test_one_of_two_hangs_up_and_the_call_is_in_the_log(talking: Line) -> None:
    talking.passes(60)

    talking.leaves("bob")

    assert (talking.view.state, talking.view.reason) == ("ended", "hung_up")
    record = talking.logged[0]
    assert (record.outcome, record.ended_at - record.started_at) == ("hung_up", 65_000)
    stays = {stay.user_id: (stay.joined_at, stay.left_at) for stay in record.participants}
    end = START_MS + 65_000
    assert stays == {"alice": (START_MS, end), "bob": (START_MS + 5_000, end)}


def test_in_a_group_one_leaves_and_comes_back(group: Line) -> None:
    group.leaves("bob")
    alone = group.inside

    group.accepts("bob.laptop")

    assert alone == ["alice"]
    assert group.inside == ["alice", "bob.laptop"]
    assert group.view.state == "active"


def test_the_last_to_leave_a_group_ends_the_call(group: Line) -> None:
    group.leaves("alice")
    group.accepts("carol")
    group.leaves("bob")
    running = group.view.state
    group.leaves("carol")

    assert (running, group.view.state, group.view.reason) == ("active", "ended", "hung_up")
    assert len(group.logged) == 1
    assert [stay.user_id for stay in group.logged[0].participants] == ["alice", "bob", "carol"]


def test_accepting_again_is_the_same_answer(talking: Line) -> None:
    heard = len(talking.phones["alice"].heard)

    answer = talking.accepts("bob")

    assert answer == Answered(talking.view)
    assert len(talking.phones["alice"].heard) == heard


def test_the_room_hears_of_every_change(group: Line) -> None:
    states = [[p.device_id for p in v.participants] for v in group.phones["dave"].heard]

    assert states == [["alice"], ["alice", "bob"]]


# ---- vanishing -----------------------------------------------------------------------------------


def test_a_device_that_vanishes_has_15_s_to_come_back(talking: Line) -> None:
    talking.vanishes("bob")
    talking.passes(14.9)

    talking.comes_up("bob")
    talking.passes(60)

    assert talking.view.state == "active"
    assert talking.inside == ["alice", "bob"]
    assert talking.phones["bob"].heard[-1].state == "active"


def test_a_device_that_stays_away_is_out(talking: Line) -> None:
    talking.vanishes("bob")

    talking.passes(15.1)

    assert (talking.view.state, talking.view.reason) == ("ended", "failed")
    assert talking.logged[0].outcome == "failed"


@pytest.mark.parametrize("away", [False, True])
def test_a_device_whose_login_has_ended_is_not_waited_for(talking: Line, away: bool) -> None:
    if away:
        talking.vanishes("bob")

    talking.handle(DeviceOut(UserId("bob"), DeviceId("bob.laptop")))
    talking.handle(DeviceOut(UserId("carol"), DeviceId("carol")))
    before = talking.view.state
    talking.handle(DeviceOut(UserId("bob"), DeviceId("bob")))

    assert (before, talking.view.state, talking.view.reason) == ("active", "ended", "hung_up")


def test_in_a_group_the_others_go_on(group: Line) -> None:
    group.vanishes("bob")

    group.passes(15.1)

    assert (group.view.state, group.inside) == ("active", ["alice"])


def test_a_device_comes_back_by_accepting(talking: Line) -> None:
    talking.vanishes("bob")
    talking.phones["bob"].up = True

    talking.accepts("bob")
    talking.passes(60)

    assert talking.inside == ["alice", "bob"]


def test_another_tab_of_the_same_device_that_closes_is_nothing(talking: Line) -> None:
    first = talking.phones["bob"].by
    talking.comes_up("bob")  # a second socket
    talking.accepts("bob")  # the call is there now

    talking.handle(SocketDown(first))
    talking.passes(60)

    assert talking.inside == ["alice", "bob"]


def test_a_caller_who_vanishes_while_it_rings_ends_it(line: Line) -> None:
    line.starts("alice", "duo")
    line.vanishes("alice")

    line.passes(15.1)

    assert line.view.reason == "failed"
    assert line.ringing == set()


# ---- taking over ---------------------------------------------------------------------------------


def test_another_device_of_one_who_is_in_is_refused(talking: Line) -> None:
    assert talking.why(talking.accepts("bob.laptop")) == "conflict"
    assert talking.inside == ["alice", "bob"]


def test_a_device_takes_over_once_it_is_connected(talking: Line) -> None:
    talking.accepts("bob.laptop", take_over=True)
    both = talking.inside
    talking.signals("bob.laptop", "alice", "offer")
    talking.signals("alice", "bob.laptop", "answer")
    talking.passes(0.9)
    still = talking.inside
    talking.passes(0.2)

    assert both == still == ["alice", "bob", "bob.laptop"]
    assert talking.inside == ["alice", "bob.laptop"]
    assert talking.reasons("bob") == ["answered_elsewhere"]
    assert talking.view.mode == "p2p"


def test_a_device_whose_connecting_is_not_seen_takes_over_after_5_s(talking: Line) -> None:
    talking.accepts("bob.laptop", take_over=True)

    talking.passes(5.1)

    assert talking.inside == ["alice", "bob.laptop"]


def test_what_was_muted_stays_muted_on_the_new_device(talking: Line) -> None:
    talking.mutes("bob", "mic")
    talking.mutes("bob", "screen", muted=False)

    talking.accepts("bob.laptop", take_over=True)
    talking.passes(5.1)

    tracks = talking.view.participants[1].tracks
    assert [(each.source, each.muted) for each in tracks] == [("mic", True)]


def test_a_taking_over_device_that_vanishes_leaves_the_older_one_in(talking: Line) -> None:
    talking.accepts("bob.laptop", take_over=True)

    talking.vanishes("bob.laptop")
    talking.passes(60)

    assert talking.inside == ["alice", "bob"]
    assert talking.reasons("bob") == []


def test_when_the_older_device_leaves_first_the_new_one_is_in(talking: Line) -> None:
    talking.accepts("bob.laptop", take_over=True)

    talking.leaves("bob")

    assert (talking.view.state, talking.inside) == ("active", ["alice", "bob.laptop"])


def test_of_two_that_take_over_the_last_one_wins(talking: Line) -> None:
    talking.accepts("bob.laptop", take_over=True)
    talking.passes(1)
    talking.accepts("bob.tablet", take_over=True)

    talking.passes(10)

    assert talking.inside == ["alice", "bob.tablet"]


def test_a_device_that_is_away_is_replaced_at_once(talking: Line) -> None:
    talking.vanishes("bob")

    talking.accepts("bob.laptop", take_over=True)

    assert talking.inside == ["alice", "bob.laptop"]


def test_the_caller_may_change_the_device_while_it_rings(line: Line) -> None:
    line.starts("alice", "duo")

    line.accepts("alice.laptop", take_over=True)
    line.passes(6)

    assert (line.view.state, line.inside) == ("ringing", ["alice.laptop"])
    assert line.ringing == {"bob", "bob.laptop"}


# ---- removed -------------------------------------------------------------------------------------


def test_a_removed_member_is_out_and_hears_so(group: Line) -> None:
    group.goes("bob", "garden")

    assert group.inside == ["alice"]
    assert group.reasons("bob") == ["hung_up"]


def test_the_removed_starter_ends_a_call_that_rings(line: Line) -> None:
    line.starts("alice", "garden")

    line.goes("alice", "garden")

    assert line.view.reason == "cancelled"
    assert line.ringing == set()
