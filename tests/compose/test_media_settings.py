"""What the configuration makes of the media port, and what clients are told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from media.connections import PlaneReady
from server.compose.ice import AllUrls
from server.compose.media import MediaPart, own_urls, plane_settings
from server.kernel.config import Config, ConfigError, load_config
from server.kernel.ids import NodeId
from server.kernel.logs import Secret
from server.kernel.tasks import TaskOwner
from storage.api import Node

SECRET = Secret("a shared text")
READY = PlaneReady(
    "sha-256 AB", ("candidate:1 1 udp 1 192.0.2.7 7000 typ host",), port=7000, tcp_port=7001
)


def config(**sections: dict[str, Any]) -> Config:
    return load_config(environ={}, overrides=sections)


def test_on_loopback_the_ports_follow_the_http_port_and_give_way() -> None:
    settings = plane_settings(config(server={"port": 9000}), SECRET, 9000)

    assert (settings.hosts, settings.port, settings.tcp_port) == (("127.0.0.1",), 9000, 9001)
    assert settings.or_any
    assert settings.turn.bind == "127.0.0.1"


def test_a_free_http_port_means_free_media_ports() -> None:
    settings = plane_settings(config(server={"port": 0}), SECRET, 0)

    assert (settings.port, settings.tcp_port) == (0, 0)


def test_ports_that_were_named_are_insisted_on() -> None:
    settings = plane_settings(config(media={"port": 7000, "tcp_port": 7001}), SECRET, 8008)

    assert (settings.port, settings.tcp_port, settings.or_any) == (7000, 7001, False)


def test_a_server_for_others_insists_on_its_ports() -> None:
    public = config(server={"host": "127.0.0.1", "public_url": "https://chat.example.org"})

    assert not plane_settings(public, SECRET, 8008).or_any


def test_without_tcp_there_is_none() -> None:
    assert plane_settings(config(media={"tcp": False}), SECRET, 8008).tcp_port is None


def test_a_server_behind_a_proxy_on_loopback_listens_for_media_everywhere() -> None:
    public = config(server={"public_url": "https://chat.example.org"})

    assert plane_settings(public, SECRET, 8008).hosts == ("0.0.0.0",)


def test_relays_are_bound_to_own_addresses_and_told_as_public_ones() -> None:
    nat = config(media={"hosts": ["127.0.0.1", "::1"], "public_hosts": ["203.0.113.5"]})

    turn = plane_settings(nat, SECRET, 8008).turn

    assert (turn.bind, turn.public) == ("127.0.0.1", "203.0.113.5")
    assert (turn.bind6, turn.public6) == ("::1", "::1")


def test_relays_are_bound_to_what_the_world_reaches_wherever_it_stands() -> None:
    hosts = ["10.0.0.5", "9.9.9.9", "fd00::5", "2a00:1450::5"]

    turn = plane_settings(config(media={"hosts": hosts}), SECRET, 8008).turn

    assert (turn.bind, turn.public) == ("9.9.9.9", "9.9.9.9")
    assert (turn.bind6, turn.public6) == ("2a00:1450::5", "2a00:1450::5")


@pytest.mark.parametrize(
    ("media", "server", "name"),
    [
        ({}, {}, "192.0.2.7"),
        ({"public_hosts": ["203.0.113.5"]}, {}, "203.0.113.5"),
        ({"public_name": "turn.example.org"}, {}, "turn.example.org"),
        ({}, {"public_url": "https://chat.example.org"}, "chat.example.org"),
        ({"public_hosts": ["2001:db8::5"]}, {}, "[2001:db8::5]"),
    ],
)
def test_clients_are_told_the_name_that_reaches_us(media, server, name: str) -> None:
    urls = own_urls(config(media=media, server=server), READY)

    assert urls == (
        f"stun:{name}:7000", f"turn:{name}:7000?transport=udp", f"turn:{name}:7001?transport=tcp",
    )  # fmt: skip


def test_with_a_certificate_turn_over_tls_is_told_too() -> None:
    tls = {"tls_certificate": "c.pem", "tls_key": "k.pem", "public_name": "turn.example.org"}

    assert own_urls(config(media=tls), READY)[-1] == "turns:turn.example.org:7001?transport=tcp"


def test_a_node_without_media_tells_those_of_two_others_in_turns() -> None:
    nodes = [Node(NodeId(f"n{n}"), 0, "1", ice_urls=(f"turn:n{n}",)) for n in range(3)]
    urls = AllUrls(None, ("stun:operator",), lambda: [Node(NodeId("hub"), 0, "1"), *nodes])

    told = [urls.now() for _ in range(3)]

    assert {len(one) for one in told} == {3}
    assert {one[0] for one in told} == {"turn:n0", "turn:n1", "turn:n2"}
    assert all(one[-1] == "stun:operator" for one in told)


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ({"hosts": ["chat.example.org"]}, "public_name"),
        ({"relay_first_port": 60_000, "relay_last_port": 50_000}, "a range"),
        ({"port": 70_000}, "up to 65535"),
        ({"tls_certificate": "c.pem"}, "go together"),
        ({"allowed_peers": ["ten"]}, "no network"),
        ({"ice_urls": ["http://turn"]}, "no stun: or turn:"),
        ({"ice_urls": ["turn:coturn.example.org"]}, "media.ice_secret"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(media: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(media=media)


async def test_only_calls_that_begin_with_the_server_wait_for_the_media_process() -> None:
    media = MediaPart(config(), plane_settings(config(), SECRET, 0), tasks=TaskOwner("media"))
    await asyncio.sleep(0.02)

    async with asyncio.timeout(0.5):
        known = [await media.known(within_s=0.01) for _ in range(50)]

    assert not any(known)
