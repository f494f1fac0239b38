"""The peer that the doctor calls with, and what calls in a hurry ask of the plane's timers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
import uvloop

from media.connections import ConnectionUp
from media.peer.carriers import Carrier, open_datagrams, open_ice_tcp, open_turn_tcp
from media.peer.connection import Identity, PeerConnection, ask_address
from media.peer.relay import Relay, Ticket
from media.peer.steps import Failed
from media.planes.settings import PlaneSettings, TurnOptions
from media.turn.credentials import ticket_password
from server.kernel.logs import Secret
from tests.support.certificates import issued
from tests.support.one_port import House, Peer, house

pytestmark = pytest.mark.slow
SECRET = Secret("of the ticket office")


@pytest.fixture
def tls(tmp_path: Path) -> tuple[str, str]:
    return issued(tmp_path, "127.0.0.1")


def settings(tls: tuple[str, str] | None = None, **turn: object) -> PlaneSettings:
    options = {"secrets": (SECRET.reveal(),), "first_port": 42_000, "last_port": 43_000, **turn}
    certificate, key = tls or ("", "")
    return PlaneSettings(
        hosts=("127.0.0.1",), tcp_port=0, turn=TurnOptions(**options), tls_certificate=certificate,
        tls_key=key,
    )  # fmt: skip


def ticket(secret: Secret = SECRET) -> Ticket:
    username = f"{int(time.time()) + 600}:anna"
    return Ticket(username, ticket_password(secret, username))


async def comes_back(opened: House, carrier: Carrier) -> PeerConnection:
    peer = PeerConnection(Identity.new())
    command = opened.open(peer.end())
    try:
        await peer.check(carrier, command.local)
        await peer.shake((await opened.ready()).fingerprint)
        echo = await peer.echo(20, every_s=0.002)
        await peer.say("say aah")
    finally:
        peer.close()
    assert (echo.sent, echo.lost) == (20, 0)
    assert len(opened.heard(ConnectionUp)) == 1
    return peer


@pytest.mark.parametrize("way", [open_datagrams, open_ice_tcp], ids=["udp", "tcp"])
async def test_packets_and_messages_come_back_directly(way) -> None:
    async with house(settings()) as opened:
        carrier = await way(opened.udp if way is open_datagrams else opened.tcp)
        try:
            await comes_back(opened, carrier)
        finally:
            carrier.close()


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_packets_and_messages_come_back_through_the_relay(
    way: str, tls: tuple[str, str]
) -> None:
    async with house(settings(tls)) as opened:
        relay = Relay(await towards_turn(way, opened, tls), ticket())
        try:
            await relay.allocate()
            await relay.reach(opened.udp)
            await comes_back(opened, relay)
        finally:
            relay.close()


async def towards_turn(way: str, opened: House, tls: tuple[str, str]) -> Carrier:
    if way == "udp":
        return await open_datagrams(opened.udp)
    if way == "tcp":
        return await open_turn_tcp(opened.tcp)
    context = ssl.create_default_context(cafile=tls[0])
    return await open_turn_tcp(opened.tcp, tls=context, name="127.0.0.1")


async def failing(work) -> Failed:
    with pytest.raises(Failed) as told:
        await work
    return told.value


async def test_a_foreign_ticket_fails_at_the_allocation() -> None:
    async with house(settings()) as opened:
        relay = Relay(await open_datagrams(opened.udp), ticket(Secret("another office")))

        failed = await failing(relay.allocate())

        relay.close()
    assert (failed.step, failed.detail[:3]) == ("allocation", "401")


async def test_a_peer_that_may_not_be_relayed_to_fails_at_the_permission() -> None:
    async with house(settings()) as opened:
        relay = Relay(await open_datagrams(opened.udp), ticket())
        await relay.allocate()

        failed = await failing(relay.reach(("10.1.2.3", 80)))

        relay.close()
    assert (failed.step, failed.detail[:3]) == ("permission", "403")


async def test_a_certificate_that_nobody_knows_fails_at_tls(tls: tuple[str, str]) -> None:
    async with house(settings(tls)) as opened:
        context = ssl.create_default_context()

        failed = await failing(open_turn_tcp(opened.tcp, tls=context, name="127.0.0.1"))

    assert failed.step == "tls"
    assert "certificate" in failed.detail


async def test_where_nobody_listens_the_system_says_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unread:
        unread.bind(("127.0.0.1", 0))
        silent = await open_datagrams(unread.getsockname())
        nobody = await open_datagrams(("127.0.0.1", 9))

        told = [await failing(ask_address(one)) for one in (silent, nobody)]

        silent.close()
        nobody.close()
    assert [(one.step, one.detail) for one in told] == [
        ("stun", ""), ("stun", "Connection refused"),
    ]  # fmt: skip


async def test_a_wrong_password_fails_at_the_check() -> None:
    async with house() as opened:
        carrier = await open_datagrams(opened.udp)
        peer = PeerConnection(Identity.new())
        command = opened.open(peer.end())
        wrong = type(command.local)(command.local.ufrag, "w" * 24)

        failed = await failing(peer.check(carrier, wrong))

        peer.close()
        carrier.close()
    assert failed.step == "ice"


async def test_another_certificate_than_announced_fails_at_dtls() -> None:
    async with house() as opened:
        carrier = await open_datagrams(opened.udp)
        peer = PeerConnection(Identity.new())
        await peer.check(carrier, opened.open(peer.end()).local)

        failed = await failing(peer.shake("sha-256 " + ":".join(["00"] * 32)))

        peer.close()
        carrier.close()
    assert failed.step == "dtls"


def test_two_checks_in_one_read_of_uvloop_are_both_answered() -> None:
    """uvloop's handle of a timer that is due at once is none: it has no `when`."""

    async def answers() -> tuple[int, list[object]]:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
        async with house() as opened:
            peer = Peer()
            peer.knows(opened.open(peer.end()).local)
            await peer.on_udp(opened.udp)
            for number in range(5):
                peer.check(transaction=bytes([number]) * 12)
            for _ in range(5):
                await asyncio.wait_for(peer.answers.get(), 2)
            peer.close()
            return peer.answers.qsize(), faults

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(answers()) == (0, [])
