"""The frame reader: what it accepts, what it refuses, and that chunking changes nothing."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.hub.transport.frames import (
    Close,
    FrameReader,
    Ping,
    Pong,
    Violation,
    close_code_may_be_sent,
    close_frame,
)
from tests.support.engine_house import client_frame

MAX = 1_000_000


def read(data: bytes, max_size: int = MAX) -> list:
    reader = FrameReader()
    events = list(reader.receive(data, max_size))
    while reader.more:
        events += reader.receive(b"", max_size)
    return events


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, MAX])
@pytest.mark.parametrize("opcode", [1, 2])
def test_a_message_of_any_size_comes_out_as_it_went_in(size, opcode):
    payload = b"*" * size

    events = read(client_frame(payload, opcode))

    assert events == [payload.decode() if opcode == 1 else payload]


def test_several_frames_in_one_chunk_come_out_in_order():
    chunk = client_frame("a") + client_frame(b"b", 2) + client_frame("p", 9) + client_frame("q", 10)

    assert read(chunk) == ["a", b"b", Ping(b"p"), Pong(b"q")]


def test_control_frames_may_stand_between_fragments():
    chunk = client_frame("Hel", fin=False) + client_frame("x", 9) + client_frame("lo", 0)

    assert read(chunk) == [Ping(b"x"), "Hello"]


def test_a_character_may_be_cut_by_a_fragment_border():
    euro = "€".encode()
    chunk = client_frame(euro[:1], fin=False) + client_frame(euro[1:], 0)

    assert read(chunk) == ["€"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (client_frame("x", masked=False), 1002),
        *((client_frame("x", rsv=bits), 1002) for bits in range(1, 8)),
        *((client_frame("x", opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        (client_frame("x" * 126, 9), 1002),
        (client_frame("x", 9, fin=False), 1002),
        (client_frame("x", 0), 1002),
        (client_frame("a", fin=False) + client_frame("b"), 1002),
        (b"\x81\xfe\x00\x05", 1002),
        (b"\x81\xff\xff" + bytes(7), 1002),
        (client_frame(b"\xed\xa0\x80"), 1007),
        (client_frame(b"\xc0\xaf"), 1007),
        (client_frame(b"\xf4\x90\x80\x80"), 1007),
        (client_frame(b"\xce", fin=False) + client_frame(b"x", 0), 1007),
        (client_frame(b"\xce", fin=False) + client_frame(b"", 0), 1007),
        (client_frame(b"x" * (MAX + 1))[:14], 1009),
        (client_frame("x" * MAX, fin=False) + client_frame("y", 0), 1009),
        (client_frame(b"\x03", 8), 1002),
        (client_frame(b"\x03\xe8\xff", 8), 1007),
    ],
)
def test_a_violation_is_told_with_its_close_code(frames, code):
    events = read(frames)

    assert [event.code for event in events if isinstance(event, Violation)] == [code]


def test_a_close_is_the_last_event():
    chunk = client_frame((1000).to_bytes(2, "big") + b"bye", 8) + client_frame("late")

    assert read(chunk) == [Close(1000, "bye")]


def test_close_codes_are_those_of_the_standard():
    allowed = [code for code in range(5100) if close_code_may_be_sent(code)]

    ranges = (range(1000, 1004), range(1007, 1012), range(3000, 5000))
    assert allowed == list(itertools.chain(*ranges))


def test_a_long_reason_is_cut_between_characters():
    frame = close_frame(1000, "ä" * 100)

    assert frame[1] <= 125
    assert frame[4:].decode() == "ä" * 61


def test_a_frame_of_one_megabyte_in_single_bytes_is_read_in_linear_time():
    reader = FrameReader()
    frame = client_frame("x" * 200_000)

    events = [e for i in range(len(frame)) for e in reader.receive(frame[i : i + 1], MAX)]

    assert events == ["x" * 200_000]


def test_one_call_reads_at_most_its_limit_and_says_that_there_is_more():
    reader = FrameReader()

    first = reader.receive(client_frame("x") * 250, MAX, limit=100)

    assert len(first) == 100
    assert reader.more
    assert len(reader.receive(b"", MAX, limit=100)) == 100
    assert len(reader.receive(b"", MAX, limit=100)) == 50
    assert not reader.more


messages = st.lists(
    st.one_of(
        st.text(max_size=200).map(lambda text: client_frame(text)),
        st.binary(max_size=70_000).map(lambda data: client_frame(data, 2)),
        st.binary(max_size=125).map(lambda data: client_frame(data, 9)),
        st.text(max_size=20).map(
            lambda text: (
                client_frame(text.encode()[:1], fin=False) + client_frame(text.encode()[1:], 0)
            )
        ),
    ),
    max_size=8,
).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(messages, st.lists(st.integers(1, 5000), max_size=40))
def test_however_the_bytes_are_cut_the_events_are_the_same(data, cuts):
    whole, reader, pieces, at = read(data), FrameReader(), [], 0

    for size in [*cuts, len(data)]:
        pieces += reader.receive(data[at : at + size], MAX)
        at += size
        while reader.more:
            pieces += reader.receive(b"", MAX)

    assert pieces == whole


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10))
def test_no_bytes_make_the_reader_raise(chunks):
    reader = FrameReader()

    for chunk in chunks:
        for event in reader.receive(chunk, 1000):
            assert not isinstance(event, str | bytes) or len(event) <= 1000
