"""Messages on a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.wire.framing import MESSAGE_BYTES, Stream, padded
from tests.media import vectors

CHANNEL = b"\x40\x01\x00\x05hello"


def test_messages_are_cut_and_padding_is_left_out() -> None:
    stream = Stream()

    messages = stream.feed(vectors.REQUEST + padded(CHANNEL) + vectors.REQUEST)

    assert messages == [vectors.REQUEST, CHANNEL, vectors.REQUEST]
    assert stream.waiting_bytes == 0


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_it_does_not_matter_where_a_stream_is_torn(sizes: list[int]) -> None:
    whole = (vectors.REQUEST + padded(CHANNEL)) * 3
    stream, messages, at = Stream(), [], 0
    for size in [*sizes, len(whole)]:
        cut = stream.feed(whole[at : at + size])
        assert cut is not None
        messages += cut
        at += size

    assert messages == [vectors.REQUEST, CHANNEL] * 3


@pytest.mark.parametrize("start", [b"\x02\0\0\0", b"\x16\x03\x01\0", b"GET ", b"\x80\0\0\0"])
def test_another_protocol_is_told_at_once(start: bytes) -> None:
    assert Stream().feed(start) is None


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_noise_is_refused_or_waits_within_the_bound(pieces: list[bytes]) -> None:
    stream = Stream()

    for piece in pieces:
        if stream.feed(piece) is None:
            break
        assert stream.waiting_bytes <= MESSAGE_BYTES
