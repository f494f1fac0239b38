"""What devices in a call tell each other, and which of their tracks are muted."""

from __future__ import annotations

import pytest

from signaling.rules import CallLimits
from tests.support.call_line import Line


@pytest.fixture
def talking(line: Line) -> Line:
    line.starts("alice", "duo", "video")
    line.accepts("bob")
    return line


def listed(line: Line, place: int) -> list[tuple[str, str, bool]]:
    return [(t.source, t.kind, t.muted) for t in line.view.participants[place].tracks]


def test_signals_arrive_in_the_order_sent(talking: Line) -> None:
    for number in range(20):
        talking.signals("bob", "alice", f"candidate {number}")

    assert talking.phones["alice"].signals == [f"candidate {number}" for number in range(20)]


@pytest.mark.parametrize("to", ["carol", "bob.laptop", "nobody", "bob"])
def test_a_signal_to_a_device_outside_the_call_is_not_found(talking: Line, to: str) -> None:
    assert talking.why(talking.signals("bob", to)) == "not_found"


def test_a_signal_from_outside_the_call_is_forbidden(talking: Line) -> None:
    assert talking.why(talking.signals("bob.laptop", "alice")) == "forbidden"
    assert talking.phones["alice"].signals == []


def test_a_signal_in_an_ended_call_is_a_conflict(talking: Line) -> None:
    talking.leaves("bob")

    assert talking.why(talking.signals("alice", "bob")) == "conflict"
    assert talking.why(talking.mutes("alice")) == "conflict"


def test_a_signal_has_64_kib_at_most(talking: Line) -> None:
    assert talking.why(talking.signals("bob", "alice", "x" * 65_534)) == "ok"
    assert talking.why(talking.signals("bob", "alice", "x" * 65_535)) == "too_large"


def test_signals_have_a_pace(line: Line) -> None:
    line = Line(CallLimits(signals_burst=3))
    line.room("duo", "alice", "bob")
    line.starts("alice", "duo")
    line.accepts("bob")

    answers = [line.why(line.signals("bob", "alice")) for _ in range(4)]

    assert answers == ["ok", "ok", "ok", "rate_limited"]
    assert line.why(line.signals("alice", "bob")) == "ok"


def test_signals_for_a_device_that_is_away_wait_for_it(talking: Line) -> None:
    talking.vanishes("bob")
    for number in range(3):
        talking.signals("alice", "bob", f"candidate {number}")

    talking.comes_up("bob")

    assert talking.phones["bob"].signals == [f"candidate {number}" for number in range(3)]


def test_too_much_for_a_device_that_is_away_is_refused(talking: Line) -> None:
    talking.vanishes("bob")

    large = [talking.why(talking.signals("alice", "bob", "x" * 60_000)) for _ in range(5)]
    talking.comes_up("bob")
    talking.vanishes("bob")
    many = [talking.why(talking.signals("alice", "bob")) for _ in range(65)]

    assert large == ["ok"] * 4 + ["unavailable"]
    assert many == ["ok"] * 64 + ["unavailable"]


def test_a_device_is_where_it_spoke_last(talking: Line) -> None:
    talking.comes_up("bob")

    talking.signals("bob", "alice", "restart")
    talking.signals("alice", "bob", "answer")

    assert talking.phones["bob"].signals == ["answer"]


# ---- mute ----------------------------------------------------------------------------------------


def test_from_the_accept_on_microphone_and_camera_are_listed(line: Line) -> None:
    line.starts("alice", "duo", "video")
    before = listed(line, 0)

    line.accepts("bob")

    both = [("mic", "audio", False), ("camera", "video", False)]
    assert (before, listed(line, 0), listed(line, 1)) == ([], both, both)


def test_in_an_audio_call_the_camera_is_listed_from_its_first_mute(line: Line) -> None:
    line.starts("alice", "duo")
    line.accepts("bob")

    line.mutes("bob", "camera", muted=False)
    line.mutes("bob", "mic")

    assert listed(line, 0) == [("mic", "audio", False)]
    assert listed(line, 1) == [("mic", "audio", True), ("camera", "video", False)]
    assert line.phones["alice"].heard[-1] == line.view


def test_who_mutes_himself_while_it_rings_is_muted_when_it_is_answered(line: Line) -> None:
    line.starts("alice", "duo")
    line.mutes("alice")

    line.accepts("bob")

    assert listed(line, 0) == [("mic", "audio", True)]


def test_what_the_whole_room_hears_has_a_pace_but_who_hangs_up_is_never_held_back() -> None:
    line = Line(CallLimits(changes_burst=3))
    line.room("garden", "alice", "bob", "carol")
    line.phone("carol")
    line.starts("alice", "garden")
    line.accepts("bob")

    muted = [line.why(line.mutes("bob", muted=bool(number % 2))) for number in range(4)]
    again = line.why(line.mutes("bob", muted=True))
    line.leaves("bob")
    back = [line.why(line.accepts("bob"))]
    line.passes(0.1)
    back.append(line.why(line.accepts("bob")))

    assert (muted, again) == (["ok", "ok", "ok", "rate_limited"], "rate_limited")
    assert back == ["rate_limited", "ok"]
    assert [len(each.participants) for each in line.phones["carol"].heard] == [1, 2, 2, 2, 1, 2]


def test_muting_twice_is_told_once(talking: Line) -> None:
    talking.mutes("bob")
    heard = len(talking.phones["alice"].heard)

    assert talking.why(talking.mutes("bob")) == "ok"
    assert len(talking.phones["alice"].heard) == heard


def test_there_are_four_tracks(talking: Line) -> None:
    known = [talking.why(talking.mutes("bob", each)) for each in ("screen", "screen_audio")]

    assert known == ["ok", "ok"]
    assert talking.why(talking.mutes("bob", "hologram")) == "not_found"
    assert talking.why(talking.mutes("bob.laptop")) == "forbidden"
