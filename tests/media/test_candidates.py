"""What the server offers as its address, and how it asks for it."""

from __future__ import annotations

from media.ice.candidates import only_private, plan_candidates
from media.ice.reflexive import ATTEMPTS, Query
from media.planes.settings import local_hosts
from media.wire.addresses import encode_xor
from media.wire.attributes import XOR_MAPPED_ADDRESS
from media.wire.stun import BINDING, SUCCESS, Message, build, parse

SERVER = ("198.51.100.1", 3478)


def test_the_public_address_of_a_setting_goes_first_with_the_same_port() -> None:
    found = plan_candidates([("172.17.0.2", 7000)], public=["8.8.8.8"], tcp_port=7001)

    assert [(one.host, one.port, one.protocol) for one in found] == [
        ("8.8.8.8", 7000, "udp"),
        ("172.17.0.2", 7000, "udp"),
        ("8.8.8.8", 7001, "tcp"),
        ("172.17.0.2", 7001, "tcp"),
    ]
    assert [one.priority for one in found] == sorted((one.priority for one in found), reverse=True)
    assert not only_private(found)


def test_what_a_stun_server_saw_is_offered_with_its_base() -> None:
    found = plan_candidates([("10.0.0.5", 7000)], mapped=("8.8.4.4", 41000))

    line = found[-1].line()
    assert line.endswith("8.8.4.4 41000 typ srflx raddr 10.0.0.5 rport 7000")
    assert line.startswith("candidate:")


def test_each_interface_has_a_candidate_ipv6_before_ipv4() -> None:
    found = plan_candidates([("10.0.0.5", 7000), ("fd00::2", 7000), ("8.8.8.8", 7000)])

    assert [one.host for one in found] == ["8.8.8.8", "fd00::2", "10.0.0.5"]
    assert len({one.foundation for one in found}) == 3


def test_tcp_candidates_are_passive() -> None:
    (_, tcp) = plan_candidates([("127.0.0.1", 7000)], tcp_port=7000)

    assert tcp.line().endswith("typ host tcptype passive")


def test_only_private_addresses_are_noticed() -> None:
    assert only_private(plan_candidates([("10.0.0.5", 1), ("fd00::2", 1), ("127.0.0.1", 1)]))


def test_a_wildcard_becomes_the_addresses_of_this_machine() -> None:
    found = local_hosts(("0.0.0.0", "127.0.0.1"))

    assert "0.0.0.0" not in found
    assert "127.0.0.1" in found


def test_a_question_after_our_address_is_repeated_and_given_up() -> None:
    query = Query(SERVER, 0.0)
    sent = 0
    while (deadline := query.next_deadline()) is not None:
        sent += query.due(deadline)

    assert sent == ATTEMPTS
    assert query.mapped is None


def test_only_the_server_that_was_asked_can_answer() -> None:
    query = Query(SERVER, 0.0)
    request = parse(query.request)
    assert isinstance(request, Message)
    seen = encode_xor(("203.0.113.9", 4711), request.transaction)
    answer = parse(build(BINDING | SUCCESS, request.transaction, [(XOR_MAPPED_ADDRESS, seen)]))
    assert isinstance(answer, Message)

    assert not query.answered(answer, ("198.51.100.2", 3478))
    assert query.answered(answer, SERVER)
    assert query.mapped == ("203.0.113.9", 4711)
