"""TURN on real sockets: streams, bounds, ports that are taken, and a foreign client library."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import aioice.turn
import pytest
import uvloop

from media.planes.datagrams import bind_all, bind_datagram
from media.planes.listeners import StreamClient, StreamListener
from media.turn.credentials import ticket_password
from media.turn.exchange import UserRevoked
from media.wire import attributes as a
from media.wire.addresses import decode_xor, encode_xor
from media.wire.stun import ALLOCATE, BINDING, CHANNEL_BIND, Message, build, parse
from server.kernel.logs import Secret
from tests.support.real_turn import PASSWORD, SECRET, USER, RealTurn, serving, settings
from tests.support.servers.base import free_port, missing, server_folder
from tests.support.servers.redis import Certificates
from tests.support.turn_house import UDP, Client, code_of
from tests.support.waiting import until

HOST = "127.0.0.1"
CHANNEL = 0x4001


class StreamTalker:
    """A client on a TCP connection: signs as `Client` does, speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        house = SimpleNamespace(settings=settings(), random=random.Random(3), now=0.0)
        self.client = Client(house, (0, ("", 0)), username=USER, password=PASSWORD)  # type: ignore[arg-type]
        self.reader, self.writer = reader, writer

    async def hears(self) -> bytes:
        """One message, without its padding."""
        async with asyncio.timeout(5):
            head = await self.reader.readexactly(4)
            size = int.from_bytes(head[2:], "big") + (0 if head[0] & 0x40 else 16)
            rest = await self.reader.readexactly(size + 3 & ~3)
            return head + rest[:size]

    async def ask(self, data: bytes) -> Message:
        self.writer.write(data)
        answer = parse(await self.hears())
        assert isinstance(answer, Message)
        return answer

    async def allocate(self) -> Message:
        answer = await self.ask(build(ALLOCATE, bytes(12), [UDP]))
        self.client.nonce = answer.attributes[a.NONCE]
        return await self.ask(self.client.sign(ALLOCATE, UDP))

    async def bind(self, port: int) -> Message:
        transaction = bytes(12)
        attributes = [
            (a.CHANNEL_NUMBER, CHANNEL.to_bytes(2, "big") + b"\0\0"),
            (a.XOR_PEER_ADDRESS, encode_xor((HOST, port), transaction)),
        ]
        data = self.client.sign(CHANNEL_BIND, *attributes, transaction=transaction)
        return await self.ask(data)

    def channel(self, data: bytes) -> None:
        padding = bytes(-len(data) & 3)
        self.writer.write(
            CHANNEL.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data + padding
        )


@asynccontextmanager
async def talking(turn: RealTurn, transport: str = "tcp") -> AsyncIterator[StreamTalker]:
    if transport == "tcp":
        reader, writer = await asyncio.open_connection(HOST, turn.tcp[HOST])
    else:
        context = ssl._create_unverified_context()
        reader, writer = await asyncio.open_connection(HOST, turn.tls[HOST], ssl=context)
    try:
        yield StreamTalker(reader, writer)
    finally:
        writer.close()


async def is_closed(talker: StreamTalker) -> bool:
    """Whether the server ends this connection within 5 s."""
    async with asyncio.timeout(5):
        try:
            return await talker.reader.read(1) == b""
        except ConnectionError:
            return True


async def test_channel_data_is_padded_on_a_stream_both_ways() -> None:
    async with serving() as turn, talking(turn) as talker:
        await talker.allocate()
        assert code_of(await talker.bind(turn.echo[HOST])) is None

        for size in range(1, 6):
            talker.channel(b"x" * size)
            echoed = await talker.hears()
            assert echoed == b"\x40\x01\x00" + bytes((size,)) + b"x" * size


async def test_an_allocation_ends_with_its_connection() -> None:
    async with serving() as turn:
        async with talking(turn) as talker:
            await talker.allocate()
            assert turn.plane.allocations == 1

        await until(lambda: turn.plane.allocations == 0)


async def test_a_connection_that_speaks_something_else_is_closed() -> None:
    async with serving() as turn, talking(turn) as talker:
        talker.writer.write(b"GET / HTTP/1.1\r\n\r\n")

        assert await is_closed(talker)
        assert turn.plane.drops["stream_noise"] == 1


@pytest.mark.slow
async def test_a_connection_without_an_allocation_is_closed_and_one_with_it_stays() -> None:
    async with (
        serving(streams={"idle_s": 0.3}) as turn,
        talking(turn) as idle,
        talking(turn) as busy,
    ):
        await busy.allocate()
        assert await is_closed(idle)

        await asyncio.sleep(0.4)
        assert (await busy.ask(build(BINDING, bytes(12)))).method == BINDING


async def test_a_host_gets_so_many_connections() -> None:
    async with serving(streams={"per_host": 1}) as turn, talking(turn) as first:
        await first.ask(build(BINDING, bytes(12)))

        async with talking(turn) as second:
            assert await is_closed(second)
        assert (await first.ask(build(BINDING, bytes(12)))).method == BINDING


async def test_a_crowd_behind_one_address_gets_in_by_tcp_at_once() -> None:
    async with serving(stranger_per_s=5) as turn, AsyncExitStack() as crowd:
        talkers = [await crowd.enter_async_context(talking(turn)) for _ in range(20)]

        answers = await asyncio.gather(*(one.allocate() for one in talkers))

        assert [code_of(answer) for answer in answers] == [None] * 20


async def test_a_calendar_that_is_corrected_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = SimpleNamespace(time=lambda: 1_700_000_000.0)
    monkeypatch.setattr("media.planes.turn.time", calendar)
    async with serving() as turn, talking(turn) as first, talking(turn) as second:
        for one in (first, second):
            one.client.username = "1700000060:anna"
            one.client.password = ticket_password(Secret(SECRET), one.client.username)

        assert code_of(await first.allocate()) is None
        calendar.time = lambda: 1_800_000_000.0
        assert code_of(await second.allocate()) == 401


async def test_connections_with_an_allocation_are_no_longer_their_hosts() -> None:
    async with serving(streams={"per_host": 1}) as turn, talking(turn) as first:
        assert code_of(await first.allocate()) is None

        async with talking(turn) as second:
            assert (await second.ask(build(BINDING, bytes(12)))).method == BINDING
            async with talking(turn) as third:
                assert await is_closed(third)


async def test_closed_connections_with_and_without_an_allocation_make_room() -> None:
    async with serving(streams={"per_host": 1}) as turn:
        before = len(turn.plane._ports)
        for allocates in (True, False, True, False):
            async with talking(turn) as one:
                if allocates:
                    assert code_of(await one.allocate()) is None
                else:
                    await one.ask(build(BINDING, bytes(12)))
            await until(lambda: len(turn.plane._ports) == before)

    assert turn.plane.drops["connections"] == 0


async def test_an_ipv6_network_is_one_host() -> None:
    async with serving() as turn:
        listener = StreamListener(turn.plane, per_host=1)

        assert listener.admits(StreamClient(listener), "2a00:1450::1")
        assert not listener.admits(StreamClient(listener), "2a00:1450::ffff:2")
        assert listener.admits(StreamClient(listener), "2a00:1450:0:1::1")


@pytest.fixture
def context() -> Iterator[ssl.SSLContext]:
    if shutil.which("openssl") is None:
        missing("openssl", "install openssl")
    with server_folder("turn") as folder:
        made = Certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        yield context


@pytest.mark.slow
async def test_a_tls_connection_counts_before_its_handshake_which_has_a_time_limit(
    context: ssl.SSLContext,
) -> None:
    async with serving(context=context, streams={"per_host": 1, "idle_s": 0.3}) as turn:
        silent, first = await asyncio.open_connection(HOST, turn.tls[HOST])
        second, other = await asyncio.open_connection(HOST, turn.tls[HOST])
        try:
            async with asyncio.timeout(5):
                assert await second.read() == b""
                assert turn.plane.drops["connections"] == 1
                assert await silent.read() == b""
        finally:
            first.close()
            other.close()

        await until(lambda: turn.plane.drops["idle_connection"] == 1)
        async with talking(turn, "tls") as talker:
            assert code_of(await talker.allocate()) is None


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_works_on_every_loop(
    context: ssl.SSLContext, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def converse() -> bytes:
        async with serving(context=context) as turn, talking(turn, "tls") as talker:
            await talker.allocate()
            await talker.bind(turn.echo[HOST])
            talker.channel(b"hello")
            return await talker.hears()

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(converse()) == b"\x40\x01\x00\x05hello"


@pytest.mark.slow
async def test_noise_instead_of_a_handshake_ends_the_connection(context: ssl.SSLContext) -> None:
    async with serving(context=context) as turn:
        reader, writer = await asyncio.open_connection(HOST, turn.tls[HOST])
        writer.write(build(BINDING, bytes(12)))

        async with asyncio.timeout(5):
            await reader.read()
        writer.close()

        await until(lambda: turn.plane.drops["tls_ended"] == 1)


@pytest.mark.slow
async def test_a_connection_that_does_not_read_loses_packets_not_the_servers_memory() -> None:
    async with serving(user_bps=0) as turn, talking(turn) as talker:
        await talker.allocate()
        await talker.bind(turn.echo[HOST])
        transport = talker.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()

        for _ in range(400):
            for _ in range(40):
                talker.channel(bytes(1_200))
            await talker.writer.drain()
            await asyncio.sleep(0)
            if turn.plane.drops["stream_full"]:
                break

        assert turn.plane.drops["stream_full"] > 0


async def test_a_relay_port_that_another_program_has_is_passed_over() -> None:
    pair = None
    while pair is None:
        first = free_port()
        pair = bind_all(HOST, (first, first + 1))
    pair[1].close()

    with pair[0]:
        async with serving(first_port=first, last_port=first + 1) as turn, talking(turn) as talker:
            answer = await talker.allocate()

    relayed = decode_xor(answer.attributes[a.XOR_RELAYED_ADDRESS], answer.transaction)
    assert relayed == (HOST, first + 1)


async def test_sockets_are_bound_all_or_none() -> None:
    port = free_port()
    with bind_datagram(HOST, port):
        assert bind_all(HOST, (port - 1, port)) is None

    pair = bind_all(HOST, (port - 1, port))
    assert pair is not None
    for one in pair:
        one.close()


async def test_a_revoked_users_connection_stays_but_relays_nothing() -> None:
    async with serving() as turn, talking(turn) as talker:
        await talker.allocate()
        await talker.bind(turn.echo[HOST])

        turn.plane.give(UserRevoked(USER))
        talker.channel(b"x")
        await talker.ask(build(BINDING, bytes(12)))

        assert turn.plane.allocations == 0
        assert turn.plane.drops["no_allocation"] == 1


class Heard(asyncio.DatagramProtocol):
    """What came, for aioice's endpoint."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.queue.put_nowait((data, address))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_aioice_relays_through_our_server(transport: str) -> None:
    async with serving() as turn:
        ports = turn.udp if transport == "udp" else turn.tcp
        endpoint, heard = await aioice.turn.create_turn_endpoint(
            Heard, (HOST, ports[HOST]), USER, PASSWORD, transport=transport
        )
        try:
            peer = (HOST, turn.echo[HOST])
            endpoint.sendto(b"hello", peer)
            async with asyncio.timeout(5):
                answer = await heard.queue.get()
        finally:
            endpoint.close()

        assert answer == (b"hello", peer)
        await until(lambda: turn.plane.allocations == 0)


async def test_a_listener_reads_until_it_would_block() -> None:
    async with serving() as turn:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            for _ in range(50):
                client.sendto(build(BINDING, bytes(12)), (HOST, turn.udp[HOST]))
            # One turn of the loop for the reader, one for whoever waits behind it.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

            answers = [client.recv(200) for _ in range(50)]

        assert len(answers) == 50
