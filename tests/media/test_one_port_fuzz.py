"""Whatever arrives: no exception escapes, a stranger leaves nothing behind, memory has bounds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCDataChannel, RTCDataChannelParameters
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from media.dtls.certificate import new_certificate
from media.dtls.context import new_context
from media.dtls.endpoint import Endpoint, Received
from media.dtls.records import split
from media.ice.checks import Credentials
from media.ice.lite import Lite
from media.ice.session import PATHS
from media.planes.channels import CHANNELS, Channels
from media.planes.losses import STREAMS, Losses
from media.wire.demux import Kind, kind_of
from media.wire.prefixed import PACKET_BYTES, Packets, prefixed
from media.wire.sctp import is_sound
from tests.media.test_dtls import Pair, keys
from tests.media.test_ice import HOME, OURS, THEIRS, check
from tests.support.one_port import House, Peer, house, rtp

CONTEXT = new_context(new_certificate())
ROUNDS = 5_000


def mutants(seed: int, data: bytes, count: int) -> list[bytes]:
    """Bytes changed, cut off, doubled, put in."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        one = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(one))
            match chance.randrange(4):
                case 0:
                    one[at] = chance.randrange(256)
                case 1:
                    del one[at + 1 :]
                case 2:
                    one[at:at] = chance.randbytes(chance.randint(1, 8))
                case 3:
                    one += one[at:]
        made.append(bytes(one[:2_000]))
    return made


@pytest.mark.slow
def test_mutants_of_a_check_change_nothing_that_they_do_not_prove(seed: int) -> None:
    agent = Lite()
    agent.open("call", OURS, THEIRS, 0.0)
    original = check(nominate=True)

    for data in mutants(seed, original, ROUNDS):
        if data != original:
            agent.handle(data, HOME, 1.0)

    # Behind the integrity a mutant may differ and still be the peer's own.
    assert agent.paths <= 1
    assert len(agent) == 1


@given(st.binary(max_size=200), st.integers(1, 65_535))
def test_noise_leaves_no_trace_in_the_agent(data: bytes, port: int) -> None:
    agent = Lite()
    agent.open("call", Credentials("ours", "o" * 24), None, 0.0)

    agent.handle(data, (1, ("192.0.2.1", port)), 1.0)
    agent.handle(b"\x00\x01" + data[:200], (1, ("192.0.2.1", port)), 1.0)

    assert (agent.paths, agent.next_deadline()) == (0, None)


@given(st.binary(max_size=300))
def test_every_datagram_has_a_kind(data: bytes) -> None:
    assert kind_of(data) in Kind


@given(st.lists(st.binary(max_size=100), max_size=20), st.integers(1, 50))
def test_packets_on_a_stream_arrive_however_it_is_cut(packets: list[bytes], size: int) -> None:
    stream = b"".join(prefixed(packet) for packet in packets)
    reader = Packets()
    found: list[bytes] = []

    for at in range(0, len(stream), size):
        found += reader.feed(stream[at : at + size]) or []

    assert found == [packet for packet in packets if packet]
    assert reader.waiting_bytes == 0


@given(st.lists(st.binary(min_size=1, max_size=4_000), max_size=30))
def test_a_stream_of_noise_holds_at_most_one_packet(chunks: list[bytes]) -> None:
    reader = Packets()

    for chunk in chunks:
        if reader.feed(chunk) is None:
            break
        assert reader.waiting_bytes <= PACKET_BYTES + 2


@given(st.binary(max_size=400))
def test_records_are_split_whole_or_not_at_all(data: bytes) -> None:
    records = split(data)

    assert records is None or b"".join(records) == data


@pytest.mark.slow
def test_mutants_of_a_handshake_raise_nothing(seed: int) -> None:
    flights: list[bytes] = []
    Pair(pass_on=lambda datagram: (flights.append(datagram), [datagram])[1]).run()

    for number, flight in enumerate(flights):
        for data in mutants(seed + number, flight, 60):
            for role in ("server", "client"):
                end = Endpoint(CONTEXT, role, 0.0)
                end.start(0.0)
                end.handle(data, 0.0)
                end.handle(flights[0], 0.0)
                end.tick(1.1)
                end.close()


@pytest.mark.slow
def test_mutants_after_the_handshake_are_never_received(seed: int) -> None:
    pair = Pair()
    pair.run()
    (sent,) = pair.client.send(b"the real one")

    outputs = [
        output
        for data in mutants(seed, sent.datagram, 1_000)
        if data[: len(sent.datagram)] != sent.datagram
        for output in pair.server.handle(data, 1.0)
    ]

    assert not any(isinstance(output, Received) for output in outputs)


@pytest.mark.slow
def test_mutants_of_media_are_not_opened(seed: int) -> None:
    alice, bob = keys()
    report = b"\x80\xc9\x00\x01" + (7).to_bytes(4, "big")
    for clear in (rtp(1), report):
        protected = alice.protected(clear)
        assert protected is not None
        for data in mutants(seed, protected, ROUNDS):
            if data != protected:
                assert bob.opened(data) is None


@given(st.binary(max_size=1_600))
def test_noise_is_not_opened_and_what_is_protected_is_bounded(data: bytes) -> None:
    _, bob = keys()

    assert bob.opened(b"\x80" + data) is None
    protected = bob.protected(b"\x80\x60" + data)
    assert protected is None or len(protected) <= 1_500


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 300)), max_size=300))
def test_losses_are_bounded_and_never_negative(packets: list[tuple[int, int]]) -> None:
    losses = Losses()

    for sequence, ssrc in packets:
        losses.arrived(rtp(sequence, ssrc))

    assert losses.lost >= 0
    assert len(losses.ssrcs) <= STREAMS


def test_losses_count_gaps_and_take_late_packets_back() -> None:
    losses = Losses()

    for sequence in (65_533, 65_534, 1, 2, 0, 5):
        losses.arrived(rtp(sequence))

    assert losses.lost == 3


class Association:
    """Two ends of SCTP; what the client says may be bent on its way, its checksum put right."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.waiting: list[tuple[int, bytes]] = []
        self.heard: list[bytes] = []
        self.ends = [
            Channels(
                role, remote_port=5_000, max_message_bytes=65_536,
                transmit=lambda data, to=to: self.waiting.append((to, data)),
                said=lambda channel, message: self.said.append(message),
            )
            for to, role in ((1, "client"), (0, "server"))
        ]  # fmt: skip

    async def talk(self) -> None:
        for _ in range(30):
            while self.waiting:
                to, data = self.waiting.pop(0)
                if to == 1:
                    self.heard.append(data)
                self.ends[to].received(data)
            await asyncio.sleep(0)

    def close(self) -> None:
        for end in self.ends:
            end.close()


INIT = b"\x01\x00\x00\x18" + bytes(12) + b"\0\0\0\1" + b"\xc0\x00\x00\x04"
SACK = b"\x03\x00\x00\x14" + bytes(8) + b"\0\1\0\0" + b"\0\2\0\3"


@pytest.mark.parametrize(
    ("chunks", "sound"),
    [
        (INIT, True),
        (SACK, True),
        (INIT + SACK, True),
        (b"", False),
        (INIT[:-1] + b"\0", False),
        (INIT[:-1] + b"\5", False),
        (INIT[:-4], False),
        (SACK[:-4] + b"\0\1\xff\xff", False),
        (SACK[:-4] + b"\0\3\0\2", False),
        (SACK[:13] + b"\2" + SACK[14:], False),
        (b"\x0b\0\0\4" * 32, True),
        (b"\x0b\0\0\4" * 33, False),
        (b"\x0b\0\0\3", False),
    ],
)
def test_an_sctp_packet_that_would_hold_a_parser_is_refused(chunks: bytes, sound: bool) -> None:
    assert is_sound(bytes(12) + chunks) is sound


@given(st.binary(max_size=300))
def test_noise_is_sound_or_not_but_raises_nothing(data: bytes) -> None:
    assert is_sound(data) in (True, False)


async def talking() -> tuple[Association, list[bytes]]:
    """Two ends with a channel, and what the client said to make it."""
    pair = Association()
    await pair.talk()
    RTCDataChannel(pair.ends[0]._sctp, RTCDataChannelParameters(label="talk"))
    await pair.talk()
    assert pair.ends[1]._sctp._data_channels
    return pair, list(pair.heard)


@pytest.mark.slow
async def test_mutants_in_sctp_raise_nothing_and_leave_it_bounded(seed: int) -> None:
    crashes: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: crashes.append(what))
    pair, flights = await talking()
    number = failures = most = 0

    while number < len(flights):
        flight = flights[number]
        for data in mutants(seed + number, flight, 100):
            pair.ends[1].received(checksummed(flight[:12] + data[12:]))
            most = max(most, len(pair.ends[1]._sctp._data_channels))
            await pair.talk()
            if pair.ends[1].failed or pair.ends[1]._sctp.state == "closed":
                failures += 1
                pair.close()
                pair, flights = await talking()
                flight = flights[number]
        number += 1
    pair.close()
    await asyncio.sleep(0)

    assert crashes == []
    assert failures < 100 * number
    assert most <= 2 * CHANNELS


async def test_a_peer_that_ignores_the_window_is_cut_off() -> None:
    pair = Association()
    await pair.talk()
    server, tag = pair.ends[1], pair.ends[1]._sctp._local_verification_tag
    chunk = pair.ends[1]._sctp._last_received_tsn

    for number in range(3_000):
        if server.failed:
            break
        # The first of a message that never ends, with a hole before it.
        tsn = (chunk + 2 + number) & 0xFFFFFFFF
        body = tsn.to_bytes(4, "big") + b"\0\1\0\0" + (53).to_bytes(4, "big") + bytes(1_000)
        data = b"\x00\x02" + (4 + len(body)).to_bytes(2, "big") + body
        head = (5_000).to_bytes(2, "big") * 2 + tag.to_bytes(4, "big") + bytes(4)
        server.received(checksummed(head + data))
    pair.close()

    assert server.failed
    assert number < 1_100


def checksummed(packet: bytes) -> bytes:
    """CRC-32C in bytes 8..11: RFC 9260, appendix A."""
    if len(packet) < 12:
        return packet
    blank = packet[:8] + bytes(4) + packet[12:]
    return packet[:8] + crc32c(blank).to_bytes(4, "little") + packet[12:]


@pytest.fixture
async def opened() -> AsyncIterator[House]:
    async with house() as made:
        yield made


@pytest.mark.slow
async def test_strangers_at_the_port_get_nothing_and_leave_nothing(
    opened: House, seed: int
) -> None:
    peer, stranger = Peer(), Peer()
    await peer.connects(opened)
    await stranger.on_udp(opened.udp)
    chance = random.Random(seed)
    paths = opened.plane._port.ice.paths
    starts = [bytes([first]) for first in (0, 1, 20, 22, 63, 64, 127, 128, 191, 255)]

    for turn in range(ROUNDS):
        start = starts[turn % len(starts)]
        stranger.raw(start + chance.randbytes(chance.randrange(200)))
        if turn % 100 == 99:
            await asyncio.sleep(0)
    peer.says(1)

    assert await peer.hears()
    assert stranger.datagrams.empty()
    assert opened.plane._port.ice.paths == paths
    assert opened.plane.connections == 1
    peer.close()
    stranger.close()


@pytest.mark.slow
async def test_a_hostile_peer_costs_only_itself(opened: House, seed: int) -> None:
    hostile, peer = Peer(), Peer()
    await hostile.connects(opened)
    await peer.connects(opened)
    chance = random.Random(seed)

    for turn in range(ROUNDS):
        protected = hostile.srtp.protected(
            bytes([0x80, chance.randrange(256)]) + chance.randbytes(10 + chance.randrange(300))
        )
        if protected is not None:
            hostile.raw(protected)
        hostile.raw(bytes([20 + turn % 44]) + chance.randbytes(30))
        if turn % 50 == 49:
            await asyncio.sleep(0)
    peer.says(1)

    assert await peer.hears()
    assert len(opened.plane._port._by_ssrc) <= 2 * STREAMS
    assert opened.plane._port.ice.paths <= 2 * PATHS
    hostile.close()
    peer.close()
