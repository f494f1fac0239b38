"""STUN on the wire: the RFCs' sample messages, proofs, and what is not a message."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.wire import attributes as a
from media.wire.addresses import decode_xor, encode_xor
from media.wire.stun import (
    BINDING,
    ERROR,
    MOST_ATTRIBUTES,
    REQUEST,
    SUCCESS,
    Malformed,
    Message,
    build,
    error,
    parse,
)
from tests.media import vectors

SAMPLES = (
    vectors.REQUEST,
    vectors.IPV4_RESPONSE,
    vectors.IPV6_RESPONSE,
    vectors.LONG_TERM,
    vectors.LONG_TERM_SHA256,
)
ID = bytes(range(12))


def read(data: bytes) -> Message:
    message = parse(data)
    assert isinstance(message, Message)
    return message


def why(data: bytes) -> str:
    malformed = parse(data)
    assert isinstance(malformed, Malformed)
    return malformed.reason


def key(algorithm: int) -> bytes:
    return a.long_term_key(
        algorithm,
        username=vectors.USERNAME,
        realm=vectors.REALM,
        password=vectors.PREPARED_PASSWORD,
    )


def test_the_sample_request_is_read_and_proved() -> None:
    request = read(vectors.REQUEST)

    assert (request.method, request.kind) == (BINDING, REQUEST)
    assert request.get(a.USERNAME) == b"evtj:h6vY"
    assert a.decode_u32(request.get(a.PRIORITY)) == 0x6E0001FF
    assert a.decode_tie_breaker(request.get(a.ICE_CONTROLLED)) == 0x932FF9B151263B36
    assert request.proves_sha1(vectors.PASSWORD)
    assert not request.proves_sha1(b"another")


@pytest.mark.parametrize(
    ("sample", "address"),
    [
        (vectors.IPV4_RESPONSE, ("192.0.2.1", 32853)),
        (vectors.IPV6_RESPONSE, ("2001:db8:1234:5678:11:2233:4455:6677", 32853, 0, 0)),
    ],
)
def test_the_sample_responses_carry_the_mapped_address(
    sample: bytes, address: tuple[str, int]
) -> None:
    response = read(sample)

    value = response.attributes[a.XOR_MAPPED_ADDRESS]

    assert response.kind == SUCCESS
    assert response.proves_sha1(vectors.PASSWORD)
    assert decode_xor(value, response.transaction) == address
    assert encode_xor(address, response.transaction) == value


def test_the_sample_with_a_long_term_credential_is_proved_by_md5() -> None:
    assert read(vectors.LONG_TERM).proves_sha1(key(a.MD5))


def test_the_sample_of_rfc_8489_is_proved_by_sha256_and_names_its_user_by_hash() -> None:
    request = read(vectors.LONG_TERM_SHA256)

    assert request.proves_sha256(key(a.SHA256))
    assert request.get(a.USERHASH) == a.userhash(vectors.USERNAME, vectors.REALM)
    assert a.decode_features(request.attributes[a.NONCE]) == a.FEATURE_ANONYMITY


def test_what_is_built_is_read_again_with_its_proofs() -> None:
    attributes = [(a.USERNAME, b"abc"), (a.SOFTWARE, b"x")]

    sha1 = read(build(BINDING, ID, attributes, key=b"k", fingerprint=True))
    sha256 = read(build(BINDING, ID, attributes, key=b"k", sha256=True, fingerprint=True))

    assert sha1.get(a.USERNAME) == b"abc"
    assert sha1.proves_sha1(b"k")
    assert not sha1.proves_sha256(b"k")
    assert sha256.proves_sha256(b"k")
    assert a.FINGERPRINT in sha256.attributes


@pytest.mark.parametrize("size", [16, 20, 24, 28, 32])
def test_a_sha256_proof_may_be_cut_to_16_bytes(size: int) -> None:
    whole = build(BINDING, ID, key=b"k", sha256=True)
    # The length field is covered: a proof that will be cut is made over the cut length.
    start = whole[:2] + (4 + size).to_bytes(2, "big") + whole[4:20]
    proof = hmac.digest(b"k", start, "sha256")[:size]
    cut = start + whole[20:22] + size.to_bytes(2, "big") + proof

    assert read(cut).proves_sha256(b"k")


@pytest.mark.parametrize("size", [0, 4, 12, 15, 18, 36])
def test_a_sha256_proof_of_another_length_is_malformed(size: int) -> None:
    data = build(BINDING, ID, [(a.MESSAGE_INTEGRITY_SHA256, bytes(size))])

    assert why(data) == "integrity_length"


def test_both_proofs_may_stand_in_one_message() -> None:
    first = build(BINDING, ID, [(a.USERNAME, b"u")], key=b"k")
    both = build(BINDING, ID, [(a.USERNAME, b"u"), (a.MESSAGE_INTEGRITY, first[-20:])],
                 key=b"k", sha256=True)  # fmt: skip

    assert read(both).proves_sha256(b"k")
    assert read(both).has_sha1


def test_what_stands_behind_the_integrity_is_ignored() -> None:
    proof = build(BINDING, ID, key=b"k")[20:]
    extended = build(BINDING, ID, [(a.MESSAGE_INTEGRITY, proof[4:]), (a.USE_CANDIDATE, b"")])

    assert read(extended).get(a.USE_CANDIDATE) is None
    assert read(extended).proves_sha1(b"k")


def test_the_first_of_two_counts_and_all_can_be_had() -> None:
    message = read(build(BINDING, ID, [(a.XOR_PEER_ADDRESS, b"1111"), (a.XOR_PEER_ADDRESS, b"22")]))

    assert message.get(a.XOR_PEER_ADDRESS) == b"1111"
    assert message.every(a.XOR_PEER_ADDRESS) == [b"1111", b"22"]


def test_attributes_that_must_be_understood_are_told() -> None:
    message = read(build(BINDING, ID, [(0x7F00, b""), (0xFF00, b""), (a.USERNAME, b"u")]))

    assert message.unknown(frozenset({a.USERNAME})) == [0x7F00]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "short"),
        (vectors.REQUEST[:19], "short"),
        (b"\x80" + vectors.REQUEST[1:], "first_bits"),
        (vectors.REQUEST[:4] + b"\0\0\0\0" + vectors.REQUEST[8:], "cookie"),
        (vectors.REQUEST[:-4], "length"),
        (vectors.REQUEST + bytes(4), "length"),
        (vectors.REQUEST[:-1] + b"\0", "fingerprint"),
        (build(BINDING, ID, [(a.FINGERPRINT, b"123")]), "fingerprint"),
        (build(BINDING, ID, [(a.MESSAGE_INTEGRITY, bytes(16))]), "integrity_length"),
        (b"\0\1\0\5" + vectors.REQUEST[4:20] + b"\0\6\0\1a", "length"),
        (b"\0\1\0\4" + vectors.REQUEST[4:20] + b"\0\6\0\1", "attribute_length"),
    ],
)
def test_what_is_no_message_says_why(data: bytes, reason: str) -> None:
    assert why(data) == reason


def test_a_message_has_so_many_attributes_and_no_more() -> None:
    attributes = [(0x8100 + number, b"") for number in range(MOST_ATTRIBUTES)]

    assert len(read(build(BINDING, ID, attributes)).attributes) == MOST_ATTRIBUTES
    assert why(build(BINDING, ID, [*attributes, (a.SOFTWARE, b"")])) == "attributes"


def test_nothing_may_follow_the_fingerprint() -> None:
    sealed = build(BINDING, ID, fingerprint=True)
    value = sealed[-4:]
    longer = build(BINDING, ID, [(a.FINGERPRINT, value), (a.SOFTWARE, b"")])

    # Its CRC covers the length, so that a lengthened message fails there first.
    assert why(longer) == "fingerprint"


def test_an_error_answers_its_request() -> None:
    kind, attribute = error(read(vectors.REQUEST), 487, "Role Conflict")

    answer = read(build(kind, ID, [attribute]))

    assert (answer.method, answer.kind) == (BINDING, ERROR)
    assert a.decode_error(answer.attributes[a.ERROR_CODE]) == 487


@pytest.mark.parametrize("value", [b"", b"\0\0\x02\0", b"\0\0\x07\0", b"\0\0\x04\x64"])
def test_an_error_code_out_of_range_is_none(value: bytes) -> None:
    assert a.decode_error(value) is None


@pytest.mark.parametrize(
    "value", [b"", bytes(8), b"\0\1" + bytes(18), b"\0\2" + bytes(6), bytes(21)]
)
def test_an_address_whose_family_and_length_disagree_is_none(value: bytes) -> None:
    assert decode_xor(value, ID) is None


@pytest.mark.parametrize("nonce", [b"", b"obMatJos2", b"obMatJos2AA", b"obMatJos2A*AAx", b"other"])
def test_a_nonce_without_features_has_none(nonce: bytes) -> None:
    assert a.decode_features(nonce) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_say_why(data: bytes) -> None:
    touch(parse(data))


@given(st.binary(max_size=120))
def test_any_attributes_are_a_message_or_say_why(body: bytes) -> None:
    body += bytes(-len(body) & 3)

    touch(parse(b"\0\1" + len(body).to_bytes(2, "big") + vectors.REQUEST[4:20] + body))


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 163), st.integers(0, 255)), max_size=4),
    st.integers(0, 164),
)
def test_any_mutant_is_a_message_or_says_why(
    sample: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    mutant = bytearray(sample)
    for at, value in changes:
        mutant[at % len(mutant)] = value

    touch(parse(bytes(mutant)))
    touch(parse(bytes(mutant[:cut])))


def test_every_byte_of_every_sample_may_be_wrong() -> None:
    """20,000 mutants, without chance: 36 values in each place."""
    for sample in SAMPLES:
        for at in range(len(sample)):
            for value in range(at % 7, 256, 7):
                touch(parse(sample[:at] + bytes((value,)) + sample[at + 1 :]))


def touch(parsed: Message | Malformed) -> None:
    """Everything that a user of a message does to it."""
    if isinstance(parsed, Malformed):
        assert parsed.reason
        return
    parsed.proves_sha1(b"k")
    parsed.proves_sha256(b"k")
    parsed.unknown(frozenset())
    for value in parsed.attributes.values():
        decode_xor(value, parsed.transaction)
        a.decode_error(value)
        a.decode_u32(value)
        a.decode_channel(value)
        a.decode_algorithm(value)
        a.decode_first_byte(value)
        a.decode_features(value)
