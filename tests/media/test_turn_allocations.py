"""Allocate and Refresh: RFC 8656, sections 7 and 8."""

from __future__ import annotations

import pytest

from media.turn import exchange as x
from media.turn.lifetimes import granted_lifetime
from media.wire import attributes as a
from media.wire.addresses import decode_xor
from media.wire.stun import ALLOCATE, REFRESH, Attribute
from tests.support.turn_house import (
    IPV4_WANTED,
    IPV6_TOO,
    IPV6_WANTED,
    PEER,
    PEER6,
    RELAYS,
    UDP,
    TurnHouse,
    code_of,
    lifetime,
    lifetime_of,
)

EVEN = (a.EVEN_PORT, b"\0")
EVEN_PAIR = (a.EVEN_PORT, b"\x80")


def test_an_allocation_tells_the_relayed_and_the_mapped_address_and_its_lifetime() -> None:
    client = TurnHouse().client("203.0.113.50", 40_000)

    answer = client.allocate()

    [relayed] = client.relayed
    assert relayed[0] == RELAYS[0].public
    assert 49_152 <= relayed[1] <= 65_535
    mapped = decode_xor(answer.attributes[a.XOR_MAPPED_ADDRESS], answer.transaction)
    assert mapped == ("203.0.113.50", 40_000)
    assert lifetime_of(answer) == 600


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (0, 600), (60, 600), (1_800, 1_800), (2**32 - 1, 3_600)]
)
def test_a_lifetime_is_granted_between_default_and_maximum(asked: int | None, granted: int) -> None:
    client = TurnHouse().client()

    answer = client.allocate(*([] if asked is None else [lifetime(asked)]))

    assert lifetime_of(answer) == granted


@pytest.mark.parametrize("asked", [-1, 2**32])
def test_a_lifetime_that_has_no_32_bits_is_a_fault_of_the_caller(asked: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        granted_lifetime(asked)


def test_an_allocation_ends_when_its_lifetime_is_over() -> None:
    house = TurnHouse()
    house.client().allocate()

    house.passes(599.9)
    assert house.server.allocations == 1
    house.passes(0.2)

    assert (house.server.allocations, house.open) == (0, {})
    assert [one.reason for one in house.closed] == ["expired"]
    assert house.server.next_deadline() is None


def test_a_refresh_makes_it_live_longer() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()

    house.passes(500)
    assert lifetime_of(client.refresh()) == 600
    house.passes(599)

    assert house.server.allocations == 1
    house.passes(2)
    assert house.server.allocations == 0


def test_a_refresh_can_shorten_a_long_life() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate(lifetime(3_600))

    assert lifetime_of(client.refresh(lifetime(600))) == 600
    house.passes(601)

    assert house.server.allocations == 0


def test_a_refresh_of_0_deletes_and_its_repetition_is_a_mismatch() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()

    assert lifetime_of(client.refresh(lifetime(0))) == 0

    assert (house.server.allocations, house.open) == (0, {})
    assert code_of(client.refresh(lifetime(0))) == 437


def test_many_refreshes_leave_one_deadline() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()

    for n in range(200):
        house.now += 1
        client.refresh(lifetime(3_600 if n % 2 else 600))

    assert len(house.server._tables._deadlines) <= 2


def test_no_allocation_lives_longer_than_the_longest_age() -> None:
    house = TurnHouse(max_age_s=1_000.0, nonce_s=5_000.0)
    client = house.client()
    client.allocate()

    house.passes(590)
    assert lifetime_of(client.refresh()) == 410
    house.passes(411)

    assert house.server.allocations == 0


def test_a_repeated_request_gets_the_same_answer() -> None:
    client = TurnHouse().client()
    client.challenge()
    data = client.sign(ALLOCATE, UDP)

    first, again = client.raw(data), client.raw(data)

    assert isinstance(first[0], x.ToClient)
    assert again == [first[0]]


def test_a_second_allocation_of_the_same_5_tuple_is_a_mismatch() -> None:
    client = TurnHouse().client()
    client.allocate()

    assert code_of(client.allocate()) == 437


def test_the_same_client_by_another_socket_of_ours_is_another_5_tuple() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()

    client.flow, client.nonce = (2, client.flow[1]), b""

    assert code_of(client.allocate()) is None
    assert house.server.allocations == 2


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ([], 400),
        ([(a.REQUESTED_TRANSPORT, b"\x11")], 400),
        ([(a.REQUESTED_TRANSPORT, b"\x06\0\0\0")], 442),
        ([UDP, (a.EVEN_PORT, b"")], 400),
        ([UDP, (a.LIFETIME, b"\0")], 400),
        ([UDP, (a.REQUESTED_ADDRESS_FAMILY, b"\x02")], 400),
        ([UDP, (a.REQUESTED_ADDRESS_FAMILY, b"\x07\0\0\0")], 440),
        ([UDP, (a.ADDITIONAL_ADDRESS_FAMILY, b"\x01\0\0\0")], 400),
        ([UDP, IPV4_WANTED, IPV6_TOO], 400),
        ([UDP, IPV6_TOO, EVEN_PAIR], 400),
        ([UDP, (a.RESERVATION_TOKEN, bytes(7))], 400),
        ([UDP, (a.RESERVATION_TOKEN, bytes(8)), EVEN], 400),
        ([UDP, (a.RESERVATION_TOKEN, bytes(8)), IPV4_WANTED], 400),
        ([UDP, (a.RESERVATION_TOKEN, bytes(8))], 508),
        ([UDP, (0x7FFE, b"")], 420),
    ],
)
def test_a_request_that_cannot_be_had_gets_its_code(
    attributes: list[tuple[int, bytes]], code: int
) -> None:
    house = TurnHouse()

    assert code_of(house.client().ask(ALLOCATE, *attributes)) == code
    assert (house.server.allocations, house.open) == (0, {})


def test_a_family_without_a_relay_host_is_not_supported() -> None:
    client = TurnHouse(relays=RELAYS[:1]).client()

    assert code_of(client.allocate(IPV6_WANTED)) == 440


def test_a_relayed_ipv6_address_can_be_asked_for() -> None:
    client = TurnHouse().client()

    client.allocate(IPV6_WANTED)

    assert [address[0] for address in client.relayed] == [RELAYS[1].public]


def test_two_families_at_once_relay_to_peers_of_both() -> None:
    client = TurnHouse().client()
    client.allocate(IPV6_TOO)

    client.permit(PEER, PEER6)

    assert len(client.relayed) == 2
    [to4], [to6] = client.send(b"four", PEER), client.send(b"six", PEER6)
    assert isinstance(to4, x.ToPeer)
    assert isinstance(to6, x.ToPeer)
    assert to4.relay != to6.relay


def test_the_number_that_two_families_had_in_the_draft_is_understood() -> None:
    client = TurnHouse().client()

    client.allocate((0x8032, b"\x02\0\0\0"))

    assert [address[0] for address in client.relayed] == [relay.public for relay in RELAYS]


@pytest.mark.parametrize("attributes", [[(0x8032, b"\x07")], [IPV4_WANTED, (0x8032, IPV6_TOO[1])]])
def test_what_may_not_be_meant_for_us_changes_nothing(attributes: list[Attribute]) -> None:
    client = TurnHouse().client()

    assert code_of(client.allocate(*attributes)) is None
    assert len(client.relayed) == 1


def test_of_two_families_one_is_enough_and_the_other_says_why() -> None:
    client = TurnHouse(relays=RELAYS[:1]).client()

    answer = client.allocate(IPV6_TOO)

    failed = answer.attributes[a.ADDRESS_ERROR_CODE]
    assert failed[0] == 2
    assert a.decode_error(b"\0" + failed[1:]) == 440
    assert len(client.relayed) == 1


def test_of_two_families_one_can_be_given_back_alone() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate(IPV6_TOO)
    client.bind(0x4000, PEER6)

    client.refresh(lifetime(0), IPV6_WANTED)

    assert len(house.open) == 1
    assert client.channel(0x4000, b"x") == []
    assert code_of(client.permit(PEER6)) == 443
    assert code_of(client.permit(PEER)) is None
    assert code_of(client.refresh(IPV6_WANTED)) == 443


def test_an_even_port_is_even() -> None:
    house = TurnHouse()

    for n in range(20):
        client = house.client(port=n + 1, user=str(n))
        client.allocate(EVEN)
        assert client.relayed[0][1] % 2 == 0


def test_the_next_port_can_be_reserved_and_taken_with_the_token() -> None:
    house = TurnHouse()
    first, second = house.client(port=1), house.client(port=2)

    token = first.allocate(EVEN_PAIR).attributes[a.RESERVATION_TOKEN]
    second.allocate((a.RESERVATION_TOKEN, token))

    assert second.relayed[0][1] == first.relayed[0][1] + 1
    assert code_of(house.client(port=3).allocate((a.RESERVATION_TOKEN, token))) == 508


def test_a_reservation_is_over_after_30_seconds() -> None:
    house = TurnHouse()
    token = house.client(port=1).allocate(EVEN_PAIR).attributes[a.RESERVATION_TOKEN]

    house.passes(31)

    assert len(house.open) == 1
    assert code_of(house.client(port=2).allocate((a.RESERVATION_TOKEN, token))) == 508


def test_a_port_that_another_program_has_is_passed_over() -> None:
    house = TurnHouse(first_port=50_000, last_port=50_003)
    house.taken = {50_000, 50_001, 50_002}

    client = house.client()
    client.allocate()

    assert client.relayed[0][1] == 50_003


def test_without_a_free_port_there_is_insufficient_capacity() -> None:
    house = TurnHouse(first_port=50_000, last_port=50_001)
    house.taken = {50_000, 50_001}

    assert code_of(house.client().allocate()) == 508
    house.taken = set()
    for n in range(2):
        assert code_of(house.client(port=n + 1).allocate()) is None
    assert code_of(house.client(port=3).allocate()) == 508


def test_while_its_socket_is_opened_a_repetition_waits_and_one_answer_comes() -> None:
    house = TurnHouse()
    client = house.client()
    client.challenge()
    house.held = True
    data = client.sign(ALLOCATE, UDP)

    assert client.raw(data) == []
    assert client.raw(data) == []
    answers = [out for out in house.release() if isinstance(out, x.ToClient)]

    assert len(answers) == 1
    assert house.server.allocations == 1


def test_a_connection_that_closes_takes_its_allocation_along() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()

    house.give(x.FlowClosed(client.flow))

    assert (house.server.allocations, house.open) == (0, {})


def test_a_connection_that_closes_while_its_socket_is_opened_leaves_nothing() -> None:
    house = TurnHouse()
    client = house.client()
    client.challenge()
    house.held = True
    client.raw(client.sign(ALLOCATE, UDP))

    house.give(x.FlowClosed(client.flow))
    outputs = house.release()

    assert outputs == []
    assert (house.server.allocations, house.open) == (0, {})
    assert house.server._tables.users.held_by("anna") == 0


def test_without_an_allocation_there_is_nothing_to_refresh() -> None:
    assert code_of(TurnHouse().client().ask(REFRESH)) == 437
