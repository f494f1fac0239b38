"""The session's state machine and the shared deadlines, in virtual time."""

from hypothesis import given
from hypothesis import strategies as st

from server.hub.engineio.api import Encoded, Options, ws_binary_frame
from server.hub.engineio.deadlines import TICK_S, Deadlines
from server.hub.engineio.packets import open_packet, polling_text, split_payload
from server.hub.engineio.session import (
    AnswerProbe,
    Deliver,
    DropProbe,
    End,
    ProbeReceived,
    Received,
    Send,
    Session,
    TakeOver,
)

OPTIONS = Options(ping_interval_s=25.0, ping_timeout_s=20.0)


def test_a_day_of_answered_pings_keeps_the_session_open():
    session, now, pings = Session(OPTIONS, 0.0), 0.0, 0

    while now < 86_400:
        deadline = session.next_deadline()
        assert deadline is not None
        now = deadline
        pings += session.tick(now) == [Send("2")]
        assert session.handle(Received("3"), now + 0.1) == []

    assert pings == 3443
    assert not session.over


def test_an_unanswered_ping_ends_the_session():
    session = Session(OPTIONS, 0.0)

    assert session.tick(24.9) == []
    assert session.tick(25.0) == [Send("2")]
    assert session.tick(44.9) == []

    assert session.tick(45.0) == [End("ping timeout")]
    assert session.next_deadline() is None


def test_a_pong_that_nobody_asked_for_does_not_delay_the_ping():
    session = Session(OPTIONS, 0.0)

    session.handle(Received("3"), 20.0)

    assert session.next_deadline() == 25.0


def test_messages_alone_do_not_prove_life():
    session = Session(OPTIONS, 0.0)
    session.tick(25.0)

    assert session.handle(Received("4hello"), 40.0) == [Deliver("hello")]

    assert session.tick(45.0) == [End("ping timeout")]


def test_who_is_not_admitted_in_time_is_out():
    session = Session(Options(unauthenticated_s=10.0), 0.0)

    assert session.next_deadline() == 10.0
    assert session.tick(10.0) == [End("unauthenticated")]


def test_who_is_admitted_stays():
    session = Session(Options(unauthenticated_s=10.0), 0.0)

    session.admit()

    assert session.tick(10.0) == []
    assert session.next_deadline() == 25.0


def test_an_upgrade_needs_its_probe_first():
    session = Session(OPTIONS, 0.0)

    assert session.handle(ProbeReceived("5"), 0.0) == [DropProbe()]
    assert session.handle(ProbeReceived("2probe"), 0.0) == [AnswerProbe("3probe")]
    assert session.handle(ProbeReceived("5"), 0.0) == [TakeOver()]


@given(st.lists(st.one_of(st.text(max_size=8), st.binary(max_size=8))))
def test_no_packet_makes_a_session_raise(packets):
    session = Session(OPTIONS, 0.0)

    for packet in packets:
        session.handle(Received(packet), 0.0)
        session.handle(ProbeReceived(packet), 0.0)


@given(st.binary(max_size=200))
def test_no_payload_makes_the_codec_raise(body):
    packets = split_payload(body)

    assert packets is None or packets


def test_packets_come_out_of_a_payload_as_they_went_in():
    packets = ["4hello", b"\x00\xff", "2", "4"]

    body = "\x1e".join(map(polling_text, packets)).encode()

    assert split_payload(body) == packets


def test_a_fraction_of_a_second_is_announced_in_milliseconds():
    text = open_packet("x", Options(ping_interval_s=0.3, ping_timeout_s=0.2), upgradable=True)

    assert '"pingInterval":300,"pingTimeout":200' in text


def test_a_shared_message_is_encoded_once():
    shared = Encoded('2["a"]')

    assert shared.frame is shared.frame
    assert shared.frame == b'\x81\x0742["a"]'
    assert shared.packet == '42["a"]'
    assert ws_binary_frame(b"xy") == b"\x82\x02xy"


class Thing:
    def __init__(self, at: float | None) -> None:
        self.at = at
        self.scheduled = 0
        self.ticked: list[float] = []

    def next_deadline(self) -> float | None:
        return self.at

    def tick(self, now: float) -> None:
        self.ticked.append(now)
        self.at = None


def test_a_deadline_that_moved_later_is_kept_at_its_new_time():
    deadlines, thing = Deadlines(), Thing(1.0)
    deadlines.watch(thing)
    thing.at = 2.0

    deadlines.run(1.5)
    assert thing.ticked == []
    deadlines.run(2.0 + TICK_S)

    assert len(thing.ticked) == 1
    assert len(deadlines) == 0


def test_a_deadline_that_came_nearer_is_kept_after_a_second_watch():
    deadlines, thing = Deadlines(), Thing(10.0)
    deadlines.watch(thing)
    thing.at = 1.0
    deadlines.watch(thing)

    deadlines.run(1.0 + TICK_S)
    deadlines.run(11.0)

    assert len(thing.ticked) == 1
    assert deadlines.next() is None


def test_what_has_no_deadline_any_more_is_forgotten():
    deadlines, thing = Deadlines(), Thing(1.0)
    deadlines.watch(thing)
    thing.at = None

    deadlines.run(5.0)

    assert thing.ticked == []
    assert len(deadlines) == 0
