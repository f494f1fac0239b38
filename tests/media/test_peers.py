"""Who may be a peer."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from media.turn.peers import Peers
from media.turn.settings import OwnAddress, RelayHost

SPECIAL = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "100.64.0.0/10", "0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "192.0.2.0/24", "198.18.0.0/15",
)  # fmt: skip
MASK = 0xFFFFFFFF
ENCODINGS: dict[str, Callable[[int], int | str]] = {
    "plain": lambda n: str(IPv4Address(n)),
    "mapped": lambda n: 0xFFFF << 32 | n,
    "compatible": lambda n: n,
    "translated": lambda n: 0xFFFF << 48 | n,
    "nat64": lambda n: 0x0064FF9B << 96 | n,
    "nat64_local": lambda n: 0x0064FF9B0001 << 80 | n,
    "6to4": lambda n: 0x2002 << 112 | n << 80 | 1,
    "teredo_server": lambda n: 0x20010000 << 96 | n << 64 | (~0x08080808 & MASK),
    "teredo_client": lambda n: 0x20010000 << 96 | 0x08080808 << 64 | (~n & MASK),
    "isatap": lambda n: 0x2A00 << 112 | 0x5EFE << 32 | n,
    "isatap_universal": lambda n: 0x2A00 << 112 | 0x02005EFE << 32 | n,
}


def peers(
    allowed: tuple[str, ...] = (), refused: tuple[str, ...] = (), bind: str = "10.0.0.5"
) -> Peers:
    return Peers(
        relays=(RelayHost(bind, "203.0.113.7"), RelayHost("2a00::7", "2a00::7")),
        own=(OwnAddress(("203.0.113.7", 3478), ("10.0.0.6", 3478)),),
        allowed=allowed,
        refused=refused,
        is_relay_port=lambda family, port: port == 50_000,
    )


def encoded(name: str, number: int) -> str:
    made = ENCODINGS[name](number)
    return made if isinstance(made, str) else str(IPv6Address(made))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_special_ipv4_ranges_are_refused_in_every_encoding(encoding: str, seed: int) -> None:
    chance = random.Random(seed)
    judge = peers()

    for text in SPECIAL:
        network = ip_network(text)
        for _ in range(10):
            number = int(network.network_address) + chance.randrange(network.num_addresses)
            host = encoded(encoding, number)
            assert judge.verdict(host) == "refused", host


@pytest.mark.parametrize(
    "host",
    [
        "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "ff0e::1",
        "100::1", "2001:db8::1", "3fff::1", "2001:10::1", "5f00::1", "64:ff9b:1::808:808",
        "::ffff:8.8.8.8", "255.255.255.255",
    ],
)  # fmt: skip
def test_special_hosts_are_refused(host: str) -> None:
    assert peers().verdict(host) == "refused"


@pytest.mark.parametrize(
    "host",
    ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2a00:1450::1", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public_hosts_are_open(host: str) -> None:
    assert peers().verdict(host) == "open"


def test_an_allowed_network_is_open_in_every_encoding_of_it_that_can_be_routed() -> None:
    judge = peers(allowed=("10.1.0.0/16", "::1/128"))

    assert judge.verdict("10.1.2.3") == "open"
    assert judge.verdict("64:ff9b::a01:203") == "open"
    assert judge.verdict("::1") == "open"
    assert judge.verdict("10.2.0.1") == "refused"
    assert judge.verdict("2002:a02:1::1") == "refused"


def test_a_refused_network_wins_over_an_allowed_one() -> None:
    judge = peers(allowed=("10.0.0.0/8",), refused=("10.1.0.0/16", "8.8.8.0/24"))

    assert judge.verdict("10.1.0.1") == "refused"
    assert judge.verdict("8.8.8.8") == "refused"
    assert judge.verdict("64:ff9b::808:808") == "refused"


def test_of_our_own_hosts_only_the_media_port_and_relay_ports_are_good() -> None:
    judge = peers()

    assert judge.verdict("203.0.113.7") == "own"
    assert judge.is_own(("203.0.113.7", 3478))
    assert judge.is_own(("203.0.113.7", 50_000))
    assert not judge.is_own(("203.0.113.7", 22))
    assert judge.verdict("10.0.0.5") == "refused"


def test_own_addresses_are_reached_behind_the_nat_and_named_before_it() -> None:
    judge = peers()

    relay, media = ("203.0.113.7", 50_000), ("203.0.113.7", 3478)

    assert judge.wire(relay) == ("10.0.0.5", 50_000)
    assert judge.named(("10.0.0.5", 50_000)) == relay
    assert judge.wire(media) == ("10.0.0.6", 3478)
    assert judge.named(("10.0.0.6", 3478)) == media
    assert judge.wire_hosts("203.0.113.7") == {"10.0.0.5", "10.0.0.6"}
    assert judge.wire(("8.8.8.8", 1)) == ("8.8.8.8", 1)


def test_an_own_ipv6_address_is_compared_as_a_socket_gives_it() -> None:
    judge = Peers(
        relays=(), own=(OwnAddress(("2A00::0:7", 3478), ("fd00::0:7", 3478)),),
        allowed=(), refused=(), is_relay_port=lambda family, port: False,
    )  # fmt: skip

    assert judge.verdict("2a00::7") == "own"
    assert judge.wire(("2a00::7", 3478, 0, 0)) == ("fd00::7", 3478, 0, 0)
    assert judge.named(("fd00::7", 3478, 0, 0)) == ("2a00::7", 3478, 0, 0)


def test_a_relay_bound_to_all_addresses_is_reached_at_the_public_one() -> None:
    assert peers(bind="0.0.0.0").wire(("203.0.113.7", 50_000)) == ("203.0.113.7", 50_000)
