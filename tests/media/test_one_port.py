"""The one-port transport with real peers: ICE, DTLS, SRTP and data channels over UDP and TCP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from media import api
from media.connections import (
    CloseConnection,
    ConnectionDown,
    ConnectionUp,
    IceParameters,
    KnowRemote,
    PathChosen,
    PlaneReady,
    RestartIce,
)
from media.dtls.certificate import new_certificate
from media.ice.checks import new_credentials
from media.planes.settings import PlaneSettings, TurnOptions
from media.planes.streams import SharedClient, SharedListener
from media.wire.attributes import ERROR_CODE, XOR_MAPPED_ADDRESS, decode_error
from media.wire.stun import ALLOCATE, BINDING, ERROR, REQUEST, SUCCESS, build
from tests.support.lateness import lateness
from tests.support.one_port import CALL, DEVICE, House, Peer, aiortc_peer, host_candidate, house
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
async def opened() -> AsyncIterator[House]:
    async with house() as made:
        yield made


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.mark.parametrize("role", ["server", "client"])
async def test_a_message_on_a_data_channel_comes_back(opened: House, role: str) -> None:
    said: list[object] = []
    back = asyncio.Event()

    def hear(message: object) -> None:
        said.append(message)
        if len(said) == 2:
            back.set()

    def prepare(peer: object) -> None:
        channel = peer.createDataChannel("talk")
        channel.on("open", lambda: (channel.send("hello"), channel.send(bytes(50_000))))
        channel.on("message", hear)

    async with aiortc_peer(opened, prepare, role=role):
        async with asyncio.timeout(15):
            await back.wait()

    assert said == ["hello", bytes(50_000)]
    assert opened.heard(ConnectionUp)
    assert opened.heard(api.PeerConnected) == [api.PeerConnected(CALL, DEVICE)]


async def test_what_a_real_peer_sings_comes_back_to_it(opened: House) -> None:
    from aiortc.mediastreams import AudioStreamTrack

    tracks: list[object] = []

    def prepare(peer: object) -> None:
        peer.addTrack(AudioStreamTrack())
        peer.on("track", tracks.append)

    async with aiortc_peer(opened, prepare):
        await until(lambda: tracks)
        async with asyncio.timeout(15):
            frames = [await tracks[0].recv() for _ in range(10)]

    assert len(frames) == 10
    assert frames[0].sample_rate == 48_000


async def test_a_real_peer_connects_over_tcp_through_a_carrier(opened: House) -> None:
    """aioice has no TCP: what it sends by UDP is framed on the way."""
    carrier = await _Carrier.to(opened.tcp)
    back = asyncio.Event()

    def prepare(peer: object) -> None:
        channel = peer.createDataChannel("talk")
        channel.on("open", lambda: channel.send("hello"))
        channel.on("message", lambda _: back.set())

    try:
        async with aiortc_peer(opened, prepare, candidate=host_candidate(*carrier.address)):
            async with asyncio.timeout(15):
                await back.wait()
    finally:
        carrier.close()

    (chosen,) = opened.heard(PathChosen)
    assert chosen.protocol == "tcp"


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_packets_come_back_through_ice_dtls_and_srtp(
    opened: House, peer: Peer, tcp: bool
) -> None:
    command = await peer.connects(opened, tcp=tcp)

    packets = [peer.says(number) for number in range(5)]

    assert [await peer.hears() for _ in packets] == packets
    chosen = await opened.hears(PathChosen)
    assert (chosen.connection_id, chosen.protocol, chosen.why) == (
        command.connection_id, "tcp" if tcp else "udp", "first",
    )  # fmt: skip


async def test_a_hello_before_the_nomination_is_answered_at_once(opened: House, peer: Peer) -> None:
    command = opened.open(peer.end())
    peer.knows(command.local)
    await peer.on_udp(opened.udp)
    await peer.checks(nominate=False)

    await peer.shakes()

    assert peer.established is not None


async def test_a_hello_before_the_answer_waits_for_it(opened: House, peer: Peer) -> None:
    command = opened.open(None)
    peer.knows(command.local)
    await peer.on_udp(opened.udp)
    await peer.checks()
    shaking = asyncio.create_task(peer.shakes())
    await asyncio.sleep(0.05)
    assert not opened.heard(ConnectionUp)

    async with lateness() as late:
        began = asyncio.get_running_loop().time()
        opened.plane.command(KnowRemote(command.connection_id, peer.end()))
        await asyncio.wait_for(shaking, 10)
        took_s = asyncio.get_running_loop().time() - began

    assert took_s < 0.9 + late.seconds  # who missed the answer asks again after a second
    assert await opened.hears(ConnectionUp)


async def test_the_client_role_speaks_first(opened: House) -> None:
    peer = Peer(role="server")
    command = opened.open(peer.end(), role="client")
    peer.knows(command.local)
    await peer.on_udp(opened.udp)
    shaking = asyncio.create_task(peer.shakes())
    await peer.checks()

    await shaking

    peer.says(1)
    assert await peer.hears()
    peer.close()


async def test_a_certificate_that_was_not_promised_is_refused(opened: House, peer: Peer) -> None:
    promised = peer.end()
    peer.certificate = new_certificate()
    command = opened.open(promised)
    peer.knows(command.local)
    await peer.on_udp(opened.udp)
    await peer.checks()

    await peer.shakes()

    down = await opened.hears(ConnectionDown)
    assert down == ConnectionDown(command.connection_id, "fingerprint")
    assert opened.plane.connections == 0


async def test_media_goes_on_when_a_nat_gives_a_new_address(opened: House, peer: Peer) -> None:
    await peer.connects(opened)
    peer.says(1)
    await peer.hears()
    await peer.on_udp(opened.udp)

    for number in range(2, 27):  # half a second of sound
        peer.says(number)
        await asyncio.sleep(0.02)
        if not peer.media.empty():
            break

    assert not peer.media.empty()
    assert [one.why for one in opened.heard(PathChosen)] == ["first", "roamed"]


async def test_a_copy_from_a_stranger_does_not_move_the_call(opened: House, peer: Peer) -> None:
    await peer.connects(opened)
    stranger = Peer()
    await stranger.on_udp(opened.udp)
    peer.answers_checks = False
    protected = peer.srtp.protected(b"\x80\x6f" + bytes(20))
    await asyncio.sleep(0.15)

    stranger.raw(protected)
    await asyncio.sleep(0.1)

    assert [one.why for one in opened.heard(PathChosen)] == ["first"]
    stranger.close()


async def test_an_ice_restart_keeps_keys_and_moves_the_path(opened: House, peer: Peer) -> None:
    command = await peer.connects(opened)
    fresh, theirs = new_credentials(), new_credentials()
    opened.plane.command(
        RestartIce(
            command.connection_id,
            IceParameters(fresh.ufrag, fresh.password),
            IceParameters(theirs.ufrag, theirs.password),
        )
    )
    peer.remote, peer.credentials = fresh, theirs

    await peer.on_udp(opened.udp)
    await peer.checks()
    peer.says(7)

    assert await peer.hears()
    assert len(opened.heard(ConnectionUp)) == 1
    assert opened.heard(PathChosen)[-1].why == "restarted"


async def test_a_closed_tcp_connection_is_a_lost_peer_that_may_return(
    opened: House, peer: Peer
) -> None:
    command = await peer.connects(opened, tcp=True)
    peer.close()
    assert await opened.hears(api.PeerLost)

    await peer.on_udp(opened.udp)
    await peer.checks()
    peer.says(2)

    assert await peer.hears()
    assert len(opened.heard(api.PeerConnected)) == 2
    assert ConnectionDown(command.connection_id, "gone") in opened.told


async def test_nominations_to_and_fro_do_not_flood_the_reports(opened: House, peer: Peer) -> None:
    await peer.connects(opened)
    second = Peer(peer.certificate)
    second.credentials, second.remote = peer.credentials, peer.remote
    await second.on_udp(opened.udp)

    for _ in range(50):
        await second.checks()
        await peer.checks(nominate=False)
        await peer.checks()
        await second.checks(nominate=False)

    assert len(opened.heard(PathChosen)) < 50
    second.close()


async def test_an_end_by_the_peer_is_told_once(opened: House, peer: Peer) -> None:
    command = await peer.connects(opened)

    peer.raw(peer._dtls.close()[0].datagram)

    assert await opened.hears(ConnectionDown) == ConnectionDown(command.connection_id, "closed")
    assert opened.heard(api.PeerLost) == [api.PeerLost(CALL, DEVICE)]


async def test_a_dropped_peer_is_told_and_leaves_nothing(opened: House, peer: Peer) -> None:
    await peer.connects(opened)
    peer.up.clear()

    opened.plane.command(api.DropPeer(CALL, DEVICE))

    await asyncio.wait_for(peer.up.wait(), 5)
    assert peer.ended is not None
    assert opened.plane.connections == 0


async def test_a_connection_of_nobody_is_refused(opened: House, peer: Peer) -> None:
    opened.plane.command(api.CloseCall(CALL))

    command = opened.open(peer.end())

    down = await opened.hears(ConnectionDown)
    assert (down.connection_id, down.reason) == (command.connection_id, "refused")


async def test_a_newer_generation_drops_who_was_in(opened: House, peer: Peer) -> None:
    await peer.connects(opened)

    opened.plane.command(api.OpenCall(CALL, 1))
    kept = opened.plane.connections
    opened.plane.command(api.OpenCall(CALL, 2))

    assert (kept, opened.plane.connections) == (1, 0)


async def test_a_closed_connection_answers_no_more(opened: House, peer: Peer) -> None:
    command = await peer.connects(opened)
    opened.plane.command(CloseConnection(command.connection_id))
    while not peer.answers.empty():
        peer.answers.get_nowait()

    peer.check()
    await asyncio.sleep(0.1)

    assert peer.answers.empty()


async def test_tcp_connections_that_say_nothing_or_nonsense_are_closed() -> None:
    async with house() as opened:
        listener = opened.plane.sockets._streams
        listener.idle_s = 0.1
        _, quiet = await asyncio.open_connection(*opened.tcp)
        reader, noisy = await asyncio.open_connection(*opened.tcp)
        noisy.write(b"GET / HTTP/1.1\r\n\r\n")

        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: not len(listener))
        quiet.close()
        noisy.close()
        assert opened.plane.drops["stream_noise"] == 1
        assert opened.plane.drops["idle_connection"] == 1


async def test_of_an_ipv6_network_so_many_connections_are_taken_as_of_one_host(
    opened: House,
) -> None:
    listener = SharedListener(opened.plane._port, per_host=1)
    first, second, third = (SharedClient(listener) for _ in range(3))

    assert listener.admits(first, "2a00:1450::1")
    assert not listener.admits(second, "2a00:1450::ffff:2")
    assert listener.admits(third, "2a00:1450:0:1::1")
    listener.left(first, "2a00:1450::1")
    assert listener.admits(second, "2a00:1450::ffff:2")


async def test_stun_and_turn_are_served_on_the_same_ports() -> None:
    settings = PlaneSettings(
        hosts=("127.0.0.1",), tcp_port=0, turn=TurnOptions(secrets=("secret",))
    )
    async with house(settings) as opened:
        peer = Peer()
        await peer.on_udp(opened.udp)
        peer.raw(build(BINDING | REQUEST, b"binding-----"))
        mapped = await asyncio.wait_for(peer.answers.get(), 5)
        peer.raw(build(ALLOCATE | REQUEST, b"allocate----"))
        challenge = await asyncio.wait_for(peer.answers.get(), 5)
        reader, writer = await asyncio.open_connection(*opened.tcp)
        writer.write(build(BINDING | REQUEST, b"binding-tcp-"))
        over_tcp = await asyncio.wait_for(reader.read(1_000), 5)
        writer.close()
        await peer.connects(opened)
        peer.close()

    assert mapped.type == BINDING | SUCCESS
    assert mapped.get(XOR_MAPPED_ADDRESS)
    assert challenge.type == ALLOCATE | ERROR
    assert decode_error(challenge.get(ERROR_CODE) or b"") == 401
    assert over_tcp[8:20] == b"binding-tcp-"


async def test_turn_over_tls_is_served_on_the_tcp_port_beside_ice(tmp_path: Path) -> None:
    made = new_certificate()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = PlaneSettings(
        hosts=("127.0.0.1",), tcp_port=0, turn=TurnOptions(secrets=("secret",)),
        tls_certificate=str(chain), tls_key=str(key),
    )  # fmt: skip
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with house(settings) as opened:
        reader, writer = await asyncio.open_connection(*opened.tcp, ssl=trusting)
        writer.write(build(BINDING | REQUEST, b"binding-tls-"))
        answer = await asyncio.wait_for(reader.read(1_000), 5)
        peer = Peer()
        await peer.connects(opened, tcp=True)
        peer.close()

    assert answer[8:20] == b"binding-tls-"
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_stun_server_tells_the_public_address() -> None:
    turn = PlaneSettings(hosts=("127.0.0.1",), turn=TurnOptions(secrets=("secret",)))
    async with house(turn) as server:
        host, port = server.udp
        asking = PlaneSettings(hosts=("127.0.0.1",), stun_server=f"{host}:{port}")
        async with house(asking) as opened:
            await until(lambda: opened.plane._port.query is None)
            ready = opened.plane.sockets.candidates()

            assert await opened.hears(PlaneReady)
            assert ready == ([f"{ready[0][0]}"], True)


async def test_ipv6_works_the_same(peer: Peer) -> None:
    async with house(PlaneSettings(hosts=("127.0.0.1", "::1"), tcp_port=0)) as opened:
        command = opened.open(peer.end())
        peer.knows(command.local)
        await peer.on_udp(("::1", opened.udp[1]))
        await peer.checks()
        await peer.shakes()

        peer.says(1)

        assert await peer.hears()
        assert (await opened.hears(PathChosen)).remote.startswith("[::1]")


class _Carrier(asyncio.DatagramProtocol):
    """UDP on one side, prefixed packets on TCP on the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._peer: object = None
        self._task = asyncio.create_task(self._back(reader))

    @classmethod
    async def to(cls, target: tuple[str, int]) -> _Carrier:
        reader, writer = await asyncio.open_connection(*target)
        loop = asyncio.get_running_loop()
        transport, carrier = await loop.create_datagram_endpoint(
            lambda: cls(reader, writer), local_addr=("127.0.0.1", 0)
        )
        carrier.transport = transport
        return carrier

    @property
    def address(self) -> tuple[str, int]:
        return self.transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._peer = addr
        self._writer.write(len(data).to_bytes(2, "big") + data)

    async def _back(self, reader: asyncio.StreamReader) -> None:
        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            self.transport.sendto(await reader.readexactly(size), self._peer)

    def close(self) -> None:
        self._task.cancel()
        self.transport.close()
        self._writer.close()
