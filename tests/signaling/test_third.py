"""The third participant: through the packet plane where there is one."""

from __future__ import annotations

import pytest

from media.api import (
    AddPeer,
    CallFailed,
    CloseCall,
    DropPeer,
    OpenCall,
    PeerConnected,
    PlaneStarted,
)
from server.kernel.ids import DeviceId
from signaling.inputs import Reported
from signaling.rules import CallLimits
from tests.support.call_line import Line


@pytest.fixture
def three() -> Line:
    line = Line(CallLimits(sfu=True, participants=4))
    line.room("garden", "alice", "bob", "carol", "dave", "eve")
    for name in ("alice", "bob", "carol", "carol.laptop", "dave", "eve"):
        line.phone(name)
    line.starts("alice", "garden")
    line.accepts("bob")
    line.accepts("carol")
    return line


def test_without_a_plane_the_third_accept_is_unavailable(line: Line) -> None:
    line.starts("alice", "garden")
    line.accepts("bob")

    assert line.why(line.accepts("carol")) == "unavailable"
    assert (line.view.mode, line.inside) == ("p2p", ["alice", "bob"])
    line.leaves("bob")
    assert line.why(line.accepts("carol")) == "ok"


def test_the_third_makes_it_an_sfu_call_of_the_next_generation(three: Line) -> None:
    assert (three.view.mode, three.view.generation) == ("sfu", 2)
    assert three.inside == ["alice", "bob", "carol"]
    assert three.phones["dave"].heard[-1] == three.view
    peers = [("alice", "alice"), ("bob", "bob"), ("carol", "carol")]
    added = [AddPeer("call-0001", device, user) for device, user in peers]  # type: ignore[arg-type]
    assert three.media == [OpenCall("call-0001", 2), *added]


def test_it_stays_one_when_the_third_leaves(three: Line) -> None:
    three.leaves("carol")

    assert (three.view.mode, three.view.generation) == ("sfu", 2)
    assert three.media[-1] == DropPeer("call-0001", DeviceId("carol"))


def test_its_end_closes_the_call_in_the_plane(three: Line) -> None:
    three.ends("alice")

    assert three.media[-1] == CloseCall("call-0001")
    assert sum(isinstance(command, CloseCall) for command in three.media) == 1


def test_a_call_has_so_many_participants_and_no_more(three: Line) -> None:
    assert three.why(three.accepts("dave")) == "ok"
    assert three.why(three.accepts("eve")) == "too_large"


def test_the_plane_tells_when_a_device_that_takes_over_is_connected(three: Line) -> None:
    three.accepts("carol.laptop", take_over=True)
    both = three.inside

    three.handle(Reported(PeerConnected("call-0001", DeviceId("carol.laptop"))))

    assert both[-2:] == ["carol", "carol.laptop"]
    assert three.inside[-1] == "carol.laptop"
    assert three.media[-1] == DropPeer("call-0001", DeviceId("carol"))


def test_after_a_plane_that_forgot_everything_all_publish_anew(three: Line) -> None:
    three.media.clear()

    three.handle(Reported(PlaneStarted()))

    assert three.view.generation == 3
    assert three.media[0] == OpenCall("call-0001", 3)
    assert len(three.media) == 4
    assert three.phones["dave"].heard[-1] == three.view


def test_a_call_that_the_plane_cannot_carry_fails(three: Line) -> None:
    three.handle(Reported(CallFailed("call-0001", "no_ports")))

    assert (three.view.state, three.view.reason) == ("ended", "failed")
    assert three.logged[0].outcome == "failed"


def test_reports_of_calls_that_are_over_are_nothing(three: Line) -> None:
    three.ends("alice")

    assert three.handle(Reported(PeerConnected("call-0001", DeviceId("bob")))) == []
    assert three.handle(Reported(CallFailed("call-0077", "no_ports"))) == []
