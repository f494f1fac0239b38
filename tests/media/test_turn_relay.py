"""Permissions, channels, Send and Data: RFC 8656, sections 9 to 12."""

from __future__ import annotations

import pytest

from media.turn import exchange as x
from media.turn.settings import OwnAddress, RelayHost
from media.wire import attributes as a
from media.wire.addresses import Address, decode_xor, encode_xor
from media.wire.stun import (
    CHANNEL_BIND,
    CREATE_PERMISSION,
    DATA_METHOD,
    INDICATION,
    Attribute,
    Message,
    parse,
)
from tests.support.turn_house import (
    IPV6_WANTED,
    PEER,
    PEER6,
    Client,
    TurnHouse,
    code_of,
    lifetime,
)

BEHIND_NAT = (RelayHost("10.0.0.5", "198.51.100.7"),)
MEDIA = OwnAddress(("198.51.100.7", 3478), ("10.0.0.5", 3478))
OTHER_PORT: Address = (PEER[0], 6000)


@pytest.fixture
def client() -> Client:
    made = TurnHouse(nonce_s=5_000.0).client()
    made.allocate()
    return made


def payloads(outputs: list[x.Output]) -> list[tuple[Address, bytes]]:
    """What goes to peers."""
    return [(out.peer, out.data) for out in outputs if isinstance(out, x.ToPeer)]


def told(outputs: list[x.Output]) -> list[bytes]:
    """What goes to the client."""
    return [out.data for out in outputs if isinstance(out, x.ToClient)]


def test_with_a_permission_data_goes_both_ways(client: Client) -> None:
    assert code_of(client.permit(PEER)) is None

    sent = client.send(b"hello")
    [indication] = told(client.hears(b"world"))

    assert payloads(sent) == [(PEER, b"hello")]
    message = parse(indication)
    assert isinstance(message, Message)
    assert (message.method, message.kind) == (DATA_METHOD, INDICATION)
    assert message.get(a.DATA) == b"world"
    peer = message.attributes[a.XOR_PEER_ADDRESS]
    assert decode_xor(peer, message.transaction) == PEER


def test_without_a_permission_nothing_passes(client: Client) -> None:
    assert client.send(b"hello") == []
    assert client.hears(b"world") == []

    assert client.house.server.drops["no_permission"] == 2


def test_a_permission_is_for_all_ports_of_a_host_and_for_no_other_host(client: Client) -> None:
    client.permit(PEER)

    assert len(client.hears(b"x", OTHER_PORT)) == 1
    assert client.hears(b"x", ("8.8.4.4", PEER[1])) == []


def test_a_permission_is_over_after_300_seconds(client: Client) -> None:
    client.permit(PEER)

    client.house.passes(299.9)
    assert len(client.hears(b"x")) == 1
    client.house.passes(0.1)

    assert client.hears(b"x") == []
    assert client.send(b"x") == []


def test_a_permission_can_be_refreshed(client: Client) -> None:
    client.permit(PEER)
    client.house.passes(200)
    client.permit(PEER)

    client.house.passes(200)

    assert len(client.hears(b"x")) == 1


def test_permissions_are_given_for_all_peers_or_for_none(client: Client) -> None:
    assert code_of(client.permit(PEER, ("127.0.0.1", 80))) == 403

    assert client.send(b"x") == []


@pytest.mark.parametrize(
    ("peer", "code"), [(PEER6, 443), (("10.0.0.1", 1), 403), (("224.0.0.1", 1), 403)]
)
def test_a_permission_for_a_bad_peer_gets_its_code(
    client: Client, peer: Address, code: int
) -> None:
    assert code_of(client.permit(peer)) == code


def test_a_permission_needs_a_peer(client: Client) -> None:
    assert code_of(client.ask(CREATE_PERMISSION)) == 400
    assert code_of(client.ask(CREATE_PERMISSION, (a.XOR_PEER_ADDRESS, b"\0\1"))) == 400


def test_a_channel_carries_data_both_ways_without_the_address(client: Client) -> None:
    assert code_of(client.bind(0x4001)) is None

    assert payloads(client.channel(0x4001, b"hello")) == [(PEER, b"hello")]
    assert told(client.hears(b"world")) == [b"\x40\x01\x00\x05world"]


def test_a_channel_gives_its_host_a_permission(client: Client) -> None:
    client.bind(0x4001)

    [indication] = told(client.hears(b"x", OTHER_PORT))

    assert isinstance(parse(indication), Message)


def test_a_channel_is_over_after_600_seconds_and_its_hosts_permission_after_300(
    client: Client,
) -> None:
    client.bind(0x4001)

    client.house.passes(599)
    client.refresh()
    assert payloads(client.channel(0x4001, b"x")) == [(PEER, b"x")]
    assert told(client.hears(b"x")) == [b"\x40\x01\x00\x01x"]
    assert client.hears(b"x", OTHER_PORT) == []
    client.house.passes(1)

    assert client.channel(0x4001, b"x") == []
    assert client.hears(b"x") == []


def test_binding_again_refreshes_the_channel(client: Client) -> None:
    client.bind(0x4001)
    client.house.passes(500)
    assert code_of(client.bind(0x4001)) is None
    client.refresh()

    client.house.passes(500)

    assert len(client.channel(0x4001, b"x")) == 1


def test_a_channel_number_and_a_peer_belong_together(client: Client) -> None:
    client.bind(0x4001, PEER)

    assert code_of(client.bind(0x4001, OTHER_PORT)) == 400
    assert code_of(client.bind(0x4002, PEER)) == 400
    assert code_of(client.bind(0x4002, OTHER_PORT)) is None


def test_an_expired_channel_number_is_free_for_another_peer(client: Client) -> None:
    client.bind(0x4001, PEER)
    client.house.passes(599)
    client.refresh()
    client.house.passes(2)

    assert code_of(client.bind(0x4001, OTHER_PORT)) is None


@pytest.mark.parametrize("number", [0, 0x3FFF, 0x8000, 0xFFFF])
def test_a_channel_number_out_of_range_is_refused(client: Client, number: int) -> None:
    assert code_of(client.bind(number)) == 400


@pytest.mark.parametrize(
    ("peer", "code"), [(PEER6, 443), (("127.0.0.1", 80), 403), (("8.8.8.8", 0), 403)]
)
def test_a_channel_to_a_bad_peer_gets_its_code(client: Client, peer: Address, code: int) -> None:
    assert code_of(client.bind(0x4001, peer)) == code


def test_a_channel_needs_number_and_peer(client: Client) -> None:
    transaction = client.transaction()
    peer = (a.XOR_PEER_ADDRESS, encode_xor(PEER, transaction))

    assert code_of(client.ask(CHANNEL_BIND, peer)) == 400
    assert code_of(client.ask(CHANNEL_BIND, (a.CHANNEL_NUMBER, b"\x40\x01\0\0"))) == 400


def test_channel_data_may_be_padded_and_empty_but_not_torn(client: Client) -> None:
    client.bind(0x4001)

    assert payloads(client.raw(b"\x40\x01\x00\x05hello\0\0\0")) == [(PEER, b"hello")]
    assert payloads(client.raw(b"\x40\x01\x00\x00")) == [(PEER, b"")]
    assert client.raw(b"\x40\x01\x00\x06hello") == []
    assert client.raw(b"\x40\x01\x00") == []
    assert client.raw(b"\x40") == []


def test_a_stranger_cannot_use_a_channel(client: Client) -> None:
    client.bind(0x4001)
    stranger = client.house.client(port=9)

    assert stranger.channel(0x4001, b"x") == []
    assert client.house.server.drops["no_allocation"] == 1


def test_what_a_send_indication_lacks_drops_it(client: Client) -> None:
    client.permit(PEER)
    peer = PEER

    assert client.send(b"x", peer, (0x7FFE, b"")) == []
    assert client.send(b"x", PEER6) == []
    assert client.send(b"x", (peer[0], 0)) == []

    assert client.house.server.drops["send_shape"] == 1
    assert client.house.server.drops["peer_family"] == 1
    assert client.house.server.drops["peer_port"] == 1


def test_dont_fragment_is_handed_to_the_socket(client: Client) -> None:
    client.permit(PEER)

    [plain] = client.send(b"x")
    [whole] = client.send(b"x", PEER, (a.DONT_FRAGMENT, b""))

    assert isinstance(plain, x.ToPeer)
    assert isinstance(whole, x.ToPeer)
    assert (plain.dont_fragment, whole.dont_fragment) == (False, True)


def test_ipv6_is_relayed_likewise() -> None:
    client = TurnHouse().client("2a00:1450::50")
    client.allocate(IPV6_WANTED)

    client.bind(0x4001, PEER6)

    assert payloads(client.channel(0x4001, b"x")) == [(PEER6, b"x")]
    assert told(client.hears(b"y", PEER6)) == [b"\x40\x01\x00\x01y"]


@pytest.mark.parametrize(
    ("host", "wanted", "peer", "longest"),
    [("203.0.113.50", (), PEER, 65_507), ("2a00:1450::50", (IPV6_WANTED,), PEER6, 65_504)],
)
def test_the_longest_datagrams_pass_where_an_indication_can_hold_them(
    host: str, wanted: tuple[Attribute, ...], peer: Address, longest: int
) -> None:
    client = TurnHouse().client(host)
    client.allocate(*wanted)
    client.permit(peer)

    [indication] = told(client.hears(bytes(longest), peer))

    message = parse(indication)
    assert isinstance(message, Message)
    assert message.get(a.DATA) == bytes(longest)


def test_what_no_indication_can_hold_is_dropped_and_a_channel_carries_it() -> None:
    client = TurnHouse().client("2a00:1450::50")
    client.allocate(IPV6_WANTED)
    client.permit(PEER6)

    assert client.hears(bytes(65_505), PEER6) == []
    assert client.hears(bytes(65_527), PEER6) == []
    assert client.house.server.drops["data_length"] == 2
    client.bind(0x4001, PEER6)
    assert told(client.hears(bytes(65_527), PEER6)) == [b"\x40\x01\xff\xf7" + bytes(65_527)]


def test_two_clients_talk_through_their_relays_behind_a_nat() -> None:
    house = TurnHouse(relays=BEHIND_NAT)
    anna, bert = house.client(port=1), house.client(port=2, user="bert")
    anna.allocate()
    bert.allocate()

    assert code_of(anna.permit(bert.relayed[0])) is None
    assert code_of(bert.permit(anna.relayed[0])) is None
    [out] = anna.send(b"x", bert.relayed[0])

    assert isinstance(out, x.ToPeer)
    wire = ("10.0.0.5", bert.relayed[0][1])
    assert out.peer == wire
    back = house.from_peer(house.relay_of(wire), b"x", ("10.0.0.5", anna.relayed[0][1]))
    [indication] = told(back)
    message = parse(indication)
    assert isinstance(message, Message)
    named = decode_xor(message.attributes[a.XOR_PEER_ADDRESS], message.transaction)
    assert named == anna.relayed[0]


def test_a_channel_to_a_relayed_address_of_ours_ends_with_that_address() -> None:
    house = TurnHouse(relays=BEHIND_NAT)
    anna, bert = house.client(port=1), house.client(port=2, user="bert")
    anna.allocate()
    bert.allocate()
    anna.bind(0x4000, bert.relayed[0])
    assert len(payloads(anna.channel(0x4000, b"x"))) == 1
    relay = house.relay_of(("10.0.0.5", anna.relayed[0][1]))

    bert.refresh(lifetime(0))

    assert anna.channel(0x4000, b"for whoever has the port now") == []
    assert house.from_peer(relay, b"x", ("10.0.0.5", bert.relayed[0][1])) == []
    assert code_of(anna.bind(0x4000, PEER)) is None


def test_the_media_port_can_be_reached_and_other_ports_of_ours_cannot() -> None:
    house = TurnHouse(relays=BEHIND_NAT, own=(MEDIA,))
    client = house.client()
    client.allocate()

    assert code_of(client.bind(0x4001, MEDIA.public)) is None
    assert code_of(client.bind(0x4002, (MEDIA.public[0], 22))) == 403
    assert payloads(client.channel(0x4001, b"x")) == [(MEDIA.wire, b"x")]
    assert client.send(b"x", (MEDIA.public[0], 22)) == []
    relay = next(iter(house.open))
    assert house.from_peer(relay, b"x", ("10.0.0.5", 22)) == []
    assert house.server.drops["peer_port"] == 2
