"""A call outlives the process that carried it."""

from __future__ import annotations

import msgspec

from server.kernel.ids import NodeId
from signaling.inputs import Moment, Restore
from signaling.rules import CallLimits
from signaling.saving import save
from signaling.switchboard import Switchboard
from signaling.views import SavedCall
from tests.support.call_line import Line


def test_a_call_goes_on_when_its_devices_come_back(line: Line) -> None:
    line.starts("alice", "duo")
    line.accepts("bob")
    line.mutes("bob")
    before = line.view

    line.is_killed()
    line.passes(10)
    line.comes_up("alice")
    line.phones["bob"].up = True
    line.accepts("bob")
    line.passes(60)

    after = line.view
    assert msgspec.structs.replace(after, revision=before.revision) == before
    assert after.revision > before.revision + 1_000
    assert line.logged == []


def test_a_call_to_which_nobody_comes_back_is_in_the_log_once(line: Line) -> None:
    line.starts("alice", "duo")
    line.accepts("bob")

    line.is_killed()
    line.passes(20)
    line.is_killed()
    line.passes(20)

    assert [record.outcome for record in line.logged] == ["failed"]


def test_it_rings_on_after_a_restart_and_no_longer_than_it_would_have(line: Line) -> None:
    line.starts("alice", "duo")
    line.passes(20)

    line.is_killed(after_s=3)
    line.comes_up("bob")
    line.comes_up("alice")
    rings = line.ringing
    line.passes(21.9)
    still = line.view.state
    line.passes(0.2)

    assert (rings, still) == ({"bob"}, "ringing")
    assert (line.view.reason, line.ringing) == ("no_answer", set())


def test_a_call_whose_time_to_ring_is_over_ends_at_once(line: Line) -> None:
    line.starts("alice", "duo")

    line.is_killed(after_s=300)
    line.passes(0)

    assert line.view.reason == "no_answer"


def test_an_end_that_was_not_written_yet_is_written_by_the_next_process(line: Line) -> None:
    line.starts("alice", "duo")
    line.accepts("bob")
    line.ends("alice")
    call = line.core.call(line.last)
    assert call is not None
    line.kept[line.last] = save(call)
    first = line.logged[0]

    line.is_killed(after_s=7)

    assert line.logged == [first, first]
    assert line.why(line.accepts("bob")) == "conflict"


def test_a_call_of_the_plane_is_opened_there_again() -> None:
    line = Line(CallLimits(sfu=True))
    line.room("garden", "alice", "bob", "carol")
    line.starts("alice", "garden")
    line.accepts("bob")
    line.accepts("carol")
    opened = list(line.media)
    line.media.clear()

    line.is_killed()

    assert line.media == opened


def test_a_call_that_another_has_replaced_ends(line: Line) -> None:
    line.starts("alice", "garden")
    old = line.kept[line.last]
    line.is_killed()
    line.core = Switchboard()
    line.starts("bob", "garden")

    line.handle(Restore(old))

    assert [(r.call_id, r.outcome) for r in line.logged] == [("call-0001", "failed")]
    assert line.view.state == "ringing"


def test_devices_at_living_nodes_stay_in(line: Line) -> None:
    line.starts("alice", "duo")
    line.accepts("bob")
    saved = line.kept[line.last]

    other = Switchboard()
    other.handle(Restore(saved, {NodeId("here")}), Moment(0.0, line.ms))

    assert other.next_deadline() is None


def test_what_is_kept_can_be_read_again(line: Line) -> None:
    line.starts("alice", "garden", "video")
    line.declines("carol")
    line.accepts("bob")
    saved = line.kept[line.last]

    data = msgspec.json.encode(saved)

    assert msgspec.json.decode(data, type=SavedCall) == saved
