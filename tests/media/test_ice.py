"""ICE-lite in virtual time: whom it answers, which path it uses, when it stops."""

from __future__ import annotations

import pytest

from media.ice.checks import Credentials
from media.ice.lite import Lite, NameTaken
from media.ice.outputs import Dropped, Lost, Output, Path, RoundTrip, Selected, Send
from media.ice.session import CONSENT_S, PATHS, PROBE_S, SILENT_S
from media.wire.addresses import decode_xor
from media.wire.attributes import (
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    PRIORITY,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    decode_error,
)
from media.wire.stun import BINDING, REQUEST, SUCCESS, Message, build, parse

OURS = Credentials("ourname1", "o" * 24)
THEIRS = Credentials("peer", "p" * 24)
NEW = Credentials("ourname2", "n" * 24)
HOME: Path = (1, ("192.0.2.1", 5000))
MOBILE: Path = (1, ("198.51.100.7", 6000))
WIFI: Path = (2, ("2001:db8::1", 7000, 0, 0))


def check(
    *,
    ours: Credentials = OURS,
    theirs: Credentials = THEIRS,
    nominate: bool = False,
    priority: int = 100,
    role: int = ICE_CONTROLLING,
    more: tuple[tuple[int, bytes], ...] = (),
) -> bytes:
    attributes = [
        (USERNAME, f"{ours.ufrag}:{theirs.ufrag}".encode()),
        (PRIORITY, priority.to_bytes(4, "big")),
        (role, bytes(8)),
        *more,
    ]
    if nominate:
        attributes.append((USE_CANDIDATE, b""))
    key = ours.password.encode()
    return build(BINDING | REQUEST, b"0123456789ab", attributes, key=key, fingerprint=True)


@pytest.fixture
def agent() -> Lite:
    made = Lite()
    made.open("call", OURS, THEIRS, 0.0)
    return made


def reply(outputs: list[Output]) -> Message:
    first = outputs[0]
    assert isinstance(first, Send)
    message = parse(first.data)
    assert isinstance(message, Message)
    return message


def of(kind: type, outputs: list[Output]) -> list[Output]:
    return [one for one in outputs if isinstance(one, kind)]


def answer_probes(agent: Lite, outputs: list[Output], now: float) -> list[Output]:
    """The peer answers what the agent asked of it."""
    after: list[Output] = []
    for one in of(Send, outputs):
        message = parse(one.data)
        if isinstance(message, Message) and message.kind == REQUEST:
            data = build(BINDING | SUCCESS, message.transaction, (), key=THEIRS.password.encode())
            after += agent.handle(data, one.path, now)
    return after


def test_a_check_is_answered_with_the_address_it_came_from(agent: Lite) -> None:
    outputs = agent.handle(check(), WIFI, 1.0)

    message = reply(outputs)
    assert message.type == BINDING | SUCCESS
    assert message.proves_sha1(OURS.password.encode())
    assert decode_xor(message.get(XOR_MAPPED_ADDRESS) or b"", message.transaction) == WIFI[1]
    assert of(Selected, outputs) == [Selected("call", WIFI, "first")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (check(ours=Credentials("nobody", "o" * 24)), "unknown_ufrag"),
        (check(ours=Credentials(OURS.ufrag, "x" * 24)), "integrity"),
        (check(theirs=Credentials("other", "")), "peer_ufrag"),
        (build(BINDING | REQUEST, b"0123456789ab"), "username"),
        (build(BINDING | SUCCESS, b"0123456789ab"), "unknown_path"),
        (build(0x003, b"0123456789ab"), "method"),
        (b"\0\1\0\0", "short"),
    ],
)
def test_a_stranger_gets_no_answer_and_leaves_no_trace(
    agent: Lite, data: bytes, reason: str
) -> None:
    outputs = agent.handle(data, HOME, 1.0)

    assert outputs == [Dropped(reason)]
    assert agent.paths == 0
    assert agent.next_deadline() is None


def test_a_peer_that_believes_to_be_controlled_is_told_to_change(agent: Lite) -> None:
    outputs = agent.handle(check(role=ICE_CONTROLLED), HOME, 1.0)

    assert decode_error(reply(outputs).get(ERROR_CODE) or b"") == 487
    assert not of(Selected, outputs)


def test_what_must_be_understood_and_is_not_is_refused(agent: Lite) -> None:
    outputs = agent.handle(check(more=((0x7777, b""),)), HOME, 1.0)

    assert decode_error(reply(outputs).get(ERROR_CODE) or b"") == 420


def test_the_path_the_peer_nominates_is_used(agent: Lite) -> None:
    agent.handle(check(), HOME, 1.0)

    outputs = agent.handle(check(nominate=True), WIFI, 1.1)

    assert of(Selected, outputs) == [Selected("call", WIFI, "nominated")]
    assert agent.selected("call") == WIFI


def test_a_peer_that_names_the_path_it_uses_may_go_and_come_back(agent: Lite) -> None:
    agent.handle(check(nominate=True, priority=200), HOME, 1.0)
    agent.handle(check(nominate=True, priority=100), WIFI, 2.0)
    agent.handle(check(priority=200), HOME, 2.1)

    outputs = agent.handle(check(nominate=True, priority=200), HOME, 3.0)

    assert of(Selected, outputs) == [Selected("call", HOME, "nominated")]


def test_a_peer_that_names_all_paths_settles_on_the_best(agent: Lite) -> None:
    agent.handle(check(nominate=True, priority=200), HOME, 1.0)
    agent.handle(check(nominate=True, priority=100), WIFI, 1.1)

    moves = []
    for turn in range(10):
        moves += of(Selected, agent.handle(check(nominate=True, priority=200), HOME, 2.0 + turn))
        moves += of(Selected, agent.handle(check(nominate=True, priority=100), WIFI, 2.5 + turn))

    assert len(moves) == 1
    assert agent.selected("call") == HOME


def test_a_check_from_a_new_address_counts_once_the_old_one_is_silent(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)
    early = agent.handle(check(), WIFI, 1.5)

    late = agent.handle(check(), MOBILE, 1.0 + SILENT_S)

    assert not of(Selected, early)
    assert of(Selected, late) == [Selected("call", MOBILE, "roamed")]


def test_authentic_media_from_a_new_address_is_followed_after_a_check_of_ours(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)

    asked = agent.heard_media("call", MOBILE, 1.2)
    answered = answer_probes(agent, asked, 1.25)

    assert [one.path for one in of(Send, asked)] == [MOBILE]
    assert of(Selected, answered) == [Selected("call", MOBILE, "roamed")]


def test_copied_media_does_not_move_a_connection(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)

    agent.heard_media("call", MOBILE, 1.2)
    agent.tick(2.0)

    assert agent.selected("call") == HOME


def test_late_media_from_the_old_address_does_not_move_back(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)
    agent.handle(check(nominate=True), MOBILE, 1.01)

    outputs = agent.heard_media("call", HOME, 1.02)

    assert outputs == []
    assert agent.selected("call") == MOBILE


def test_our_own_checks_measure_the_round_trip(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)

    asked = agent.tick(1.0)
    answered = answer_probes(agent, asked, 1.04)

    (trip,) = of(RoundTrip, answered)
    assert isinstance(trip, RoundTrip)
    assert trip.seconds == pytest.approx(0.04)


def test_an_answer_from_elsewhere_proves_nothing(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)
    (asked,) = of(Send, agent.tick(1.0))
    message = parse(asked.data)
    assert isinstance(message, Message)
    data = build(BINDING | SUCCESS, message.transaction, (), key=THEIRS.password.encode())

    assert agent.handle(data, MOBILE, 1.1) == [Dropped("unknown_path")]
    agent.handle(check(), WIFI, 1.1)
    assert agent.handle(data, WIFI, 1.2) == []


def test_consent_ends_when_nothing_comes_and_returns_with_a_check(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)
    ended: list[Output] = []
    while (deadline := agent.next_deadline()) is not None:
        ended += of(Lost, agent.tick(deadline))

    outputs = agent.handle(check(nominate=True), HOME, 60.0)

    assert ended == [Lost("call", "consent")]
    assert of(Selected, outputs) == [Selected("call", HOME, "first")]


def test_a_peer_that_answers_keeps_consent_for_an_hour(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 0.0)
    lost: list[Output] = []
    while (deadline := agent.next_deadline()) is not None and deadline < 3600:
        asked = agent.tick(deadline)
        lost += of(Lost, asked)
        answer_probes(agent, asked, deadline + 0.02)

    assert lost == []
    assert agent.selected("call") == HOME


def test_a_forged_source_that_answers_nothing_is_not_sent_to_for_long(agent: Lite) -> None:
    lost: list[Output] = []
    for second in range(int(CONSENT_S) + int(PROBE_S) + 1):
        lost += of(Lost, agent.tick(float(second)))
        if not lost:
            agent.handle(check(nominate=True), HOME, float(second))

    assert lost == [Lost("call", "consent")]


def test_a_restart_keeps_the_path_until_the_peer_has_chosen_anew(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)
    agent.restart("call", NEW, THEIRS)
    kept = agent.handle(check(), HOME, 1.5)

    outputs = agent.handle(check(ours=NEW, nominate=True), MOBILE, 2.0)
    old = agent.handle(check(), HOME, 2.5)

    assert reply(kept).type == BINDING | SUCCESS
    assert of(Selected, outputs) == [Selected("call", MOBILE, "restarted")]
    assert old == [Dropped("unknown_ufrag")]


def test_one_socket_serves_many_sessions_by_name(agent: Lite) -> None:
    other = Credentials("another1", "a" * 24)
    agent.open("other", other, None, 0.0)

    agent.handle(check(nominate=True), HOME, 1.0)
    agent.handle(check(ours=other, nominate=True), MOBILE, 1.0)

    assert agent.selected("call") == HOME
    assert agent.selected("other") == MOBILE


def test_a_peer_cannot_take_a_living_path_of_another(agent: Lite) -> None:
    other = Credentials("another1", "a" * 24)
    agent.open("other", other, None, 0.0)
    agent.handle(check(nominate=True), HOME, 1.0)

    outputs = agent.handle(check(ours=other, nominate=True), HOME, 2.0)

    assert outputs == [Dropped("path_taken")]
    assert agent.selected("call") == HOME


def test_a_dead_path_may_be_used_by_another_session(agent: Lite) -> None:
    other = Credentials("another1", "a" * 24)
    agent.open("other", other, None, 0.0)
    agent.handle(check(nominate=True), HOME, 1.0)

    outputs = agent.handle(check(ours=other, nominate=True), HOME, 20.0)

    assert Lost("call", "gone") in outputs
    assert agent.selected("other") == HOME


def test_a_closed_tcp_path_falls_back_to_another(agent: Lite) -> None:
    agent.handle(check(), HOME, 1.0)
    agent.handle(check(nominate=True), WIFI, 1.0)

    back = agent.path_gone(WIFI, 2.0)
    gone = agent.path_gone(HOME, 3.0)

    assert back == [Selected("call", HOME, "fallback")]
    assert gone == [Lost("call", "gone")]


def test_paths_of_a_session_are_bounded_and_the_used_one_stays(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)

    for port in range(1, 200):
        agent.handle(check(), (1, ("203.0.113.9", port)), 1.0 + port / 1000)

    assert agent.paths == PATHS
    assert agent.selected("call") == HOME


def test_sessions_are_bounded_and_names_are_unique() -> None:
    agent = Lite(sessions=1)
    agent.open("call", OURS, THEIRS, 0.0)

    with pytest.raises(NameTaken):
        agent.open("second", NEW, THEIRS, 0.0)
    agent.close("call")
    agent.open("second", OURS, THEIRS, 0.0)
    with pytest.raises(NameTaken):
        agent.restart("second", OURS, THEIRS)


def test_a_closed_session_leaves_nothing(agent: Lite) -> None:
    agent.handle(check(nominate=True), HOME, 1.0)
    agent.restart("call", NEW, THEIRS)

    agent.close("call")
    agent.tick(100.0)

    assert (len(agent), agent.paths, agent.next_deadline()) == (0, 0, None)
    assert agent.handle(check(), HOME, 101.0) == [Dropped("unknown_ufrag")]
    assert agent.handle(check(ours=NEW), HOME, 101.0) == [Dropped("unknown_ufrag")]
