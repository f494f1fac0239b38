"""Descriptions that aiortc cannot take as they are: what it is shown, and what goes back."""

from __future__ import annotations

import pytest
from hubbub.calls.descriptions import Fitting, Unusable, ice_of, read, sources_of
from hubbub.calls.signals import Candidate, Description, Ends, read_signal
from hypothesis import given
from hypothesis import strategies as st

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n"
CODECS = {"opus": "96 opus/48000/2", "VP8": "97 VP8/90000", "VP9": "98 VP9/90000"}


def section(mid: str, codec: str = "opus", *, port: int = 9, more: str = "a=sendrecv") -> str:
    kind = "audio" if codec == "opus" else "video"
    return (
        f"m={kind} {port} UDP/TLS/RTP/SAVPF {CODECS[codec].split()[0]}\r\na=mid:{mid}\r\n"
        f"a=rtpmap:{CODECS[codec]}\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\n"
        f"a=fingerprint:sha-256 AA\r\n{more}\r\n"
    )


def session(*sections: str, bundle: str = "0 1 2 3 4") -> str:
    return HEAD.format(bundle) + "".join(sections)


def lines(sdp: str) -> list[str]:
    return [line for line in sdp.split("\r\n") if line.startswith("m=")]


def mids(sdp: str) -> list[str]:
    return [each.mid for each in read(sdp).sections]


def test_sections_without_a_common_codec_are_rejected_and_stay_in_their_place() -> None:
    fitting = Fitting()
    offer = read(session(section("0"), section("1", "VP9"), section("2", "VP8")))

    shown = fitting.take_offer(offer)
    answer = fitting.give_answer(session(section("0"), section("2", "VP8"), bundle="0 2"), offer)

    assert mids(shown) == ["0", "2"]
    assert mids(answer) == ["0", "1", "2"]
    assert lines(answer)[1] == "m=video 0 UDP/TLS/RTP/SAVPF 98"
    assert read(answer).bundle == ["0", "2"]


def test_a_section_that_dies_stays_before_aiortc_as_inactive() -> None:
    fitting = Fitting()
    fitting.take_offer(read(session(section("0"), section("1", "VP8"))))
    offer = read(session(section("0", port=0), section("1", "VP8"), section("2", "VP8")))

    shown = fitting.take_offer(offer)

    assert [each.direction for each in read(shown).sections] == ["inactive", "sendrecv", "sendrecv"]
    assert mids(shown) == ["0", "1", "2"]


def test_a_place_that_is_used_again_is_answered_where_it_is() -> None:
    fitting = Fitting()
    fitting.take_offer(read(session(section("0"), section("1", "VP8"))))
    offer = read(session(section("0"), section("7", "VP8"), bundle="0 7"))

    shown = fitting.take_offer(offer)
    answer = fitting.give_answer(
        session(section("0"), section("1", "VP8"), section("7", "VP8"), bundle="0 1 7"), offer
    )

    assert mids(shown) == ["0", "1", "7"]
    assert mids(answer) == ["0", "7"]


def test_bundle_only_with_port_0_is_no_rejection() -> None:
    offer = read(session(section("0"), section("1", "VP8", port=0, more="a=bundle-only")))

    assert mids(Fitting().take_offer(offer)) == ["0", "1"]


def test_more_sections_than_taken_are_rejected() -> None:
    every = [section(str(number)) for number in range(12)]
    offer = read(session(*every, bundle=" ".join(map(str, range(12)))))

    assert len(mids(Fitting().take_offer(offer))) == 8


def test_a_rejection_in_an_answer_becomes_an_inactive_section_of_the_same_connection() -> None:
    fitting = Fitting()
    fitting.give_offer(session(section("0"), section("1", "VP8")))
    answer = session(
        section("0", more="a=setup:active"), "m=video 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\n"
    )

    shown = read(fitting.take_answer(read(answer)))

    assert [each.direction for each in shown.sections] == ["sendrecv", "inactive"]
    assert "a=setup:active" in shown.sections[1].text
    assert "a=rtpmap:97 VP8" in shown.sections[1].text


@pytest.mark.parametrize(
    "sdp",
    ["v=0", session(), session(section("0"), section("0")), HEAD.format("0") + "m=audio\r\n"],
    ids=["head", "no section", "a mid twice", "half a line"],
)
def test_what_is_no_description_is_said_to_be_none(sdp: str) -> None:
    with pytest.raises(Unusable):
        read(sdp)


def test_a_new_user_fragment_or_certificate_is_seen() -> None:
    offer = session(section("0"), section("1", "VP8"))

    restarted = ice_of(read(offer.replace("abcd", "efgh")))
    other = ice_of(read(offer.replace("sha-256 AA", "sha-256 BB")))

    assert len({ice_of(read(offer)), restarted, other}) == 3


def test_who_does_not_tell_sends_microphone_and_camera_first() -> None:
    offer = read(session(section("0"), section("1", "VP8"), section("2", "VP8"), section("3")))

    untold = sources_of(offer, {})
    told = sources_of(offer, {"1": "screen"})

    assert untold == {"0": "mic", "1": "camera", "2": "screen", "3": "screen_audio"}
    assert told == {"0": "mic", "1": "screen", "2": "camera", "3": "screen_audio"}


LINE = "candidate:1 1 udp 1 192.0.2.1 9 typ host"


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "candidate", "candidate": {"candidate": LINE, "sdpMid": "0"}},
        {"candidate": {"candidate": "a=" + LINE, "sdpMid": "0"}},
        {"candidate": LINE, "sdpMid": "0"},
    ],
)
def test_candidates_are_read_in_the_shapes_that_are_about(raw: object) -> None:
    assert read_signal(raw) == Candidate(LINE, "0")


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "offer", "sdp": "v=0", "from": "x"},
        {"description": {"type": "offer", "sdp": "v=0"}, "from": "x"},
        {"sdp": {"type": "offer", "sdp": "v=0"}, "from": "x"},
    ],
)
def test_offers_are_read_in_the_shapes_that_are_about(raw: object) -> None:
    assert read_signal(raw) == Description("offer", "v=0", {}, Ends("x"))


NAMES = st.sampled_from(["type", "sdp", "candidate", "description", "sources", "from", "sdpMid"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(NAMES, one, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_a_signal_or_none(raw: object) -> None:
    assert isinstance(read_signal(raw), Candidate | Description | None)


@given(st.text(st.sampled_from("m=audio 09\r\na:idbundle-onlyUDP/TLS"), max_size=200))
def test_any_text_is_a_description_or_unusable(text: str) -> None:
    try:
        found = read("v=0\r\n" + text)
    except Unusable:
        return
    assert found.sections
    assert ice_of(found)
    for each in found.sections:
        assert each.direction in ("sendrecv", "sendonly", "recvonly", "inactive")
