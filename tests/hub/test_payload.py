"""The packet check against any input: it refuses or it reads, it never breaks."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.hub.payload import BadPacket, Shape, connect_token, read_event, read_header
from server.kernel.errors import Invalid


class Free(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: object = None


free = Shape(Free)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def allowed(value):
    """PROTOCOL section 5 in the plainest words; depth does not matter at this size."""
    match value:
        case dict():
            return all(allowed(k) and k != "_placeholder" and allowed(v) for k, v in value.items())
        case list():
            return all(map(allowed, value))
        case str():
            return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
        case bool() | None:
            return True
        case int():
            return abs(value) < 2**53
        case _:
            return math.isfinite(value)


@given(values, st.booleans(), st.integers(0, 10**16 - 1))
def test_a_payload_is_read_exactly_when_the_contract_allows_it(value, escaped, ack):
    packet = f"2{ack}" + json.dumps(["free", {"value": value}], ensure_ascii=escaped)
    event = read_event(packet)
    assert event is not None

    try:
        heard = free.decode(event.raw).value
    except Invalid:
        assert not allowed(value)
    else:
        assert allowed(value)
        assert heard == value
        assert (event.ack, event.name) == (str(ack), "free")


@given(st.text(max_size=60))
def test_any_text_is_a_header_or_a_bad_packet(text):
    for packet in (text, "2" + text, "5" + text, "21[" + text):
        try:
            header = read_header(packet)
        except BadPacket:
            continue
        assert header.kind in "0123456"
        assert 0 < header.body <= len(packet)


@given(st.text(max_size=60))
def test_any_event_text_is_read_or_refused(text):
    event = read_event(f'21["free",{text}]')
    assert event is not None

    try:
        heard = free.decode(event.raw)
    except Invalid:
        return
    assert isinstance(heard, Free)


@given(values)
def test_any_connect_payload_gives_a_token_or_a_bad_packet(value):
    try:
        token = connect_token(json.dumps(value))
    except BadPacket:
        return
    assert isinstance(token, str)


@pytest.mark.parametrize(
    "packet", ["", "7", "2", "51", "5-", "512345678901-", "21٣[", "/", "2-[]", "21-[]"]
)
def test_a_broken_header_is_refused_or_without_event(packet):
    try:
        header = read_header(packet)
    except BadPacket:
        return
    assert packet[header.body :][:2] != '["'
