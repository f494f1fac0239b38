"""Fuzz targets of the media port: each takes one random input a round and keeps its promises.

No exception escapes, a stranger leaves nothing behind, tables keep their bounds. The tests run each
for a moment, `python -m tests.calls_faults.fuzz` for as long as one likes.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from ipaddress import ip_network

from aiortc import RTCDataChannel, RTCDataChannelParameters

from media.dtls.certificate import new_certificate
from media.dtls.context import new_context
from media.dtls.endpoint import Endpoint, Established, Received, Transmit
from media.ice.checks import Credentials
from media.ice.lite import Lite
from media.ice.outputs import Send
from media.ice.session import PATHS
from media.planes.losses import STREAMS as COUNTED
from media.planes.losses import Losses
from media.planes.tls import ServerTls
from media.srtp import STREAMS, Srtp
from media.turn import exchange as x
from media.wire import attributes as a
from media.wire.addresses import decode_xor, encode_xor
from media.wire.demux import kind_of
from media.wire.framing import MESSAGE_BYTES, Stream
from media.wire.prefixed import PACKET_BYTES, Packets
from media.wire.stun import BINDING, INDICATION, REQUEST, SUCCESS, Malformed, build, parse
from tests.media import vectors
from tests.media.test_dtls import keys
from tests.media.test_one_port_fuzz import Association, checksummed
from tests.media.test_peers import ENCODINGS, SPECIAL, encoded
from tests.support.turn_house import UDP, Client, TurnHouse, code_of

SAMPLES = (
    vectors.REQUEST, vectors.IPV4_RESPONSE, vectors.IPV6_RESPONSE, vectors.LONG_TERM,
    vectors.LONG_TERM_SHA256,
)  # fmt: skip
ATTRIBUTES = tuple(
    value for name, value in vars(a).items() if name.isupper() and isinstance(value, int)
)
METHODS = (1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 0x0FFF)
STRANGER_BYTES = 160


def mutant(chance: random.Random, data: bytes, changes: int = 4) -> bytes:
    """Bytes changed, cut off, doubled, put in."""
    made = bytearray(data)
    for _ in range(chance.randint(1, changes)):
        at = chance.randrange(len(made)) if made else 0
        match chance.randrange(5):
            case 0 if made:
                made[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 1:
                del made[at + 1 :]
            case 2:
                made[at:at] = chance.randbytes(chance.randint(1, 8))
            case 3:
                made += made[at:]
            case _:
                made[at : at + 2] = chance.choice((b"\0\0", b"\xff\xff", b"\0\4"))
    return bytes(made[:2_000])


def noise(chance: random.Random, longest: int = 200) -> bytes:
    return chance.randbytes(chance.randrange(longest))


def some_attributes(chance: random.Random) -> list[tuple[int, bytes]]:
    """Known and unknown ones with values of any length."""
    return [
        (
            chance.choice(ATTRIBUTES) & 0xFFFF
            if chance.random() < 0.9
            else chance.randrange(1 << 16),
            noise(chance, chance.choice((2, 5, 9, 21, 40, 300))),
        )
        for _ in range(chance.randrange(6))
    ]


class Target(ABC):
    """`round` asserts what holds after each input."""

    @abstractmethod
    def round(self, chance: random.Random) -> None: ...


class StunMessages(Target):
    """Any bytes are a message whose every part can be asked for, or say why not."""

    def round(self, chance: random.Random) -> None:
        data = mutant(chance, chance.choice(SAMPLES)) if chance.random() < 0.8 else noise(chance)
        kind_of(data)
        message = parse(data)
        if isinstance(message, Malformed):
            assert message.reason
            return
        for number in ATTRIBUTES:
            for value in message.every(number):
                decode_xor(value, message.transaction)
                a.decode_error(value)
                a.decode_u32(value)
                a.decode_algorithm(value)
        message.unknown(frozenset())
        assert not message.proves_sha1(b"nobody's")
        assert not message.proves_sha256(b"nobody's")


class TurnStrangers(Target):
    """Whatever comes without a credential: 160 bytes at most, no state, 20 answers a second."""

    def __init__(self) -> None:
        self.house = TurnHouse(strangers=100)

    def round(self, chance: random.Random) -> None:
        host = f"203.0.{chance.randrange(4)}.{chance.randrange(256)}"
        client = self.house.client(host, chance.randrange(1, 65_536))
        match chance.randrange(4):
            case 0:
                data = noise(chance)
            case 1:
                data = mutant(chance, chance.choice(SAMPLES))
            case 2:
                kind = chance.choice(METHODS) | chance.choice((0, 0x10, 0x100, 0x110))
                data = build(
                    kind, chance.randbytes(12), some_attributes(chance),
                    key=chance.choice((None, b"guess")), sha256=chance.random() < 0.5,
                    fingerprint=chance.random() < 0.5,
                )  # fmt: skip
            case _:
                data = chance.randrange(0x4000, 0x8000).to_bytes(2, "big") + noise(chance)
        for output in client.raw(data):
            assert isinstance(output, x.ToClient), output
            assert len(output.data) <= STRANGER_BYTES
        self.house.passes(chance.random() / 50)
        assert self.house.server.allocations == 0
        assert not self.house.open
        assert not self.house.server._tables._deadlines


class TurnUsers(Target):
    """What a user signs, sends and is sent, whatever it is, stays within his bounds; a special
    address is never his peer.
    """

    USERS, HELD = 3, 4

    def __init__(self) -> None:
        self.house = TurnHouse(user_allocations=self.HELD, permissions=20, channels=20, nonce_s=1e9)
        self.clients = [
            self.house.client(port=port, user=f"user{port % self.USERS}", expires_s=10**6)
            for port in range(1, 25)
        ]
        self.refused = 0
        """Special addresses that were asked for and answered 403."""

    def round(self, chance: random.Random) -> None:
        client = chance.choice(self.clients)
        if not client.nonce or chance.random() < 0.002:
            self._challenge(client)
        match chance.randrange(7):
            case 0:
                client.raw(client.sign(3, UDP))
            case 1:
                method = chance.choice(METHODS)
                client.raw(client.sign(method, *some_attributes(chance)))
            case 2:
                self._asks_and_gives_back(client, chance)
            case 3:
                client.raw(mutant(chance, client.sign(chance.choice(METHODS), UDP)))
            case 4:
                client.raw(chance.randrange(0x4000, 0x8000).to_bytes(2, "big") + noise(chance))
            case 5:
                self._asks_for_a_special_peer(client, chance)
            case _:
                relays = list(self.house.open)
                if relays:
                    self.house.from_peer(chance.choice(relays), noise(chance))
        if chance.random() < 0.1:
            self.house.passes(chance.choice((0.01, 1.0, 40.0)))
        self._holds()

    def _challenge(self, client: Client) -> None:
        self.house.passes(0.06)
        for output in client.raw(build(3, client.transaction(), [UDP])):
            answer = parse(output.data) if isinstance(output, x.ToClient) else None
            if answer is not None and not isinstance(answer, Malformed):
                client.nonce = answer.attributes.get(a.NONCE, client.nonce)

    def _asks_and_gives_back(self, client: Client, chance: random.Random) -> None:
        client.raw(client.sign(3, UDP, *some_attributes(chance)))
        if chance.random() < 0.3:
            client.raw(client.sign(4, (a.LIFETIME, bytes(4))))

    def _asks_for_a_special_peer(self, client: Client, chance: random.Random) -> None:
        network = ip_network(chance.choice(SPECIAL))
        number = int(network.network_address) + chance.randrange(network.num_addresses)
        host = encoded(chance.choice(list(ENCODINGS)), number)
        transaction = chance.randbytes(12)
        address = (host, 9) if ":" not in host else (host, 9, 0, 0)
        peer = (a.XOR_PEER_ADDRESS, encode_xor(address, transaction))
        number_of = (a.CHANNEL_NUMBER, b"\x40\x05\0\0")
        for method, more in ((8, []), (9, [number_of])):
            outputs = client.raw(client.sign(method, peer, *more, transaction=transaction))
            answers = [parse(out.data) for out in outputs if isinstance(out, x.ToClient)]
            codes = [code_of(one) for one in answers if not isinstance(one, Malformed)]
            assert None not in codes, host
            self.refused += codes.count(403)
        sent = client.raw(build(6 | INDICATION, transaction, [peer, (a.DATA, b"x")]))
        assert not any(isinstance(output, x.ToPeer) for output in sent), host

    def _holds(self) -> None:
        self.house.closed.clear()
        server = self.house.server
        assert server.allocations <= self.USERS * self.HELD
        assert len(self.house.open) <= self.USERS * self.HELD
        assert len(server._tables._deadlines) <= 64 + 2 * len(server._tables.relays)
        for allocation in server._tables.flows.values():
            assert len(allocation.by_head) <= 20
            assert len(allocation.by_peer) <= 20


class IceChecks(Target):
    """Strangers' and peers' checks and answers from anywhere: paths keep their bound."""

    def __init__(self) -> None:
        self.agent = Lite()
        self.now = 0.0
        self.sessions = [
            (Credentials(f"ours{n}", f"o{n}" * 12), Credentials(f"peer{n}", f"p{n}" * 12))
            for n in range(4)
        ]
        for n, (ours, theirs) in enumerate(self.sessions):
            self.agent.open(f"call{n}", ours, theirs if n else None, 0.0)
        self.sent: list[bytes] = [vectors.REQUEST]

    def round(self, chance: random.Random) -> None:
        ours, theirs = chance.choice(self.sessions)
        path = (chance.randrange(3), (f"192.0.2.{chance.randrange(40)}", chance.randrange(1, 5)))
        name = f"{ours.ufrag}:{theirs.ufrag}".encode()
        if chance.random() < 0.1:
            name = mutant(chance, name)
        answers = chance.random() < 0.3
        kind = BINDING | (chance.choice((SUCCESS, 0x110)) if answers else REQUEST)
        transaction = chance.choice(self.sent)[8:20] if answers else chance.randbytes(12)
        password = theirs.password if answers else ours.password
        data = build(
            kind, transaction, [(a.USERNAME, name), *some_attributes(chance)],
            key=password.encode() if chance.random() < 0.9 else b"guess",
            fingerprint=chance.random() < 0.9,
        )  # fmt: skip
        if chance.random() < 0.3:
            data = mutant(chance, data)
        self.now += chance.choice((0.0, 0.001, 0.2, 2.0, 40.0))
        outputs = self.agent.handle(data, path, self.now)
        if chance.random() < 0.2:
            outputs += self.agent.heard_media(f"call{chance.randrange(4)}", path, self.now)
        if chance.random() < 0.05:
            outputs += self.agent.path_gone(path, self.now)
        outputs += self.agent.tick(self.now)
        self.sent = [*self.sent, *(out.data for out in outputs if isinstance(out, Send))][-8:]
        assert self.agent.paths <= 4 * PATHS
        assert len(self.agent) == 4
        assert len(self.agent._due) <= 4


class DtlsFlights(Target):
    """Two ends whose datagrams are bent on the way, in the handshake and behind it."""

    def __init__(self) -> None:
        self.contexts = [new_context(new_certificate()) for _ in range(2)]

    def round(self, chance: random.Random) -> None:
        client = Endpoint(self.contexts[0], "client", 0.0)
        server = Endpoint(self.contexts[1], "server", 0.0)
        waiting = [(server, out) for out in client.start(0.0)]
        bent = chance.choice((0.0, 0.1, 0.5))
        said = 0
        for _ in range(60):
            if not waiting:
                break
            target, output = waiting.pop(0)
            if isinstance(output, Established):
                waiting += [(server, out) for out in client.send(b"hello")]
            if not isinstance(output, Transmit):
                assert not isinstance(output, Received) or output.data == b"hello"
                said += isinstance(output, Received)
                continue
            data = output.datagram
            if chance.random() < bent:
                target.handle(mutant(chance, data), 0.0)
            other = client if target is server else server
            waiting += [(other, out) for out in target.handle(data, 0.0)]
        for end in (client, server):
            end.tick(1.1)
            end.close()
        assert said <= 2


class Media(Target):
    """Authentic RTP and RTCP of any shape and any SSRC, and mutants of it."""

    def __init__(self) -> None:
        self.alice: Srtp
        self.alice, self.bob = keys()
        self.losses = Losses()

    def round(self, chance: random.Random) -> None:
        first = 0x80 | chance.randrange(64)
        second = chance.choice((200, 201, 205, 206, 111, 96, chance.randrange(256)))
        clear = bytes((first, second)) + noise(chance, chance.choice((12, 40, 1_400)))
        protected = self.alice.protected(clear)
        if protected is None:
            return
        bent = mutant(chance, protected)
        if bent != protected:
            assert self.bob.opened(bent) is None
        opened = self.bob.opened(protected)
        if opened is not None:
            assert opened == clear
            self.losses.arrived(opened)
        assert self.losses.lost >= 0
        assert len(self.losses.ssrcs) <= COUNTED
        assert self.bob.streams <= STREAMS
        assert self.alice.streams <= STREAMS


class StreamsOfBytes(Target):
    """What TCP brings, cut anywhere: at most one unfinished message is kept; TLS ends or waits."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            self.hello = outgoing.read()

    def round(self, chance: random.Random) -> None:
        pieces = [
            chance.choice((noise(chance, 4_000), mutant(chance, chance.choice(SAMPLES))))
            for _ in range(chance.randrange(1, 8))
        ]
        packets, stream = Packets(), Stream()
        for piece in pieces:
            if packets.feed(piece) is None:
                break
            assert packets.waiting_bytes <= PACKET_BYTES + 2
        for piece in [chance.choice(SAMPLES), *pieces]:
            if stream.feed(piece) is None:
                break
            assert stream.waiting_bytes <= MESSAGE_BYTES
        end = ServerTls(self.context)
        for piece in (mutant(chance, self.hello), *pieces):
            clear = end.feed(piece)
            assert len(end.outgoing()) < 8_192
            if clear is None:
                break
            assert clear == b""


class SctpPackets(Target):
    """Mutants behind a right checksum, in every state of an association."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.crashes: list[object] = []
        self.loop.set_exception_handler(lambda loop, what: self.crashes.append(what))
        self.pair: Association
        self.flights: list[bytes]
        self._connect()

    def _connect(self) -> None:
        async def talks() -> None:
            self.pair = Association()
            await self.pair.talk()
            RTCDataChannel(self.pair.ends[0]._sctp, RTCDataChannelParameters(label="talk"))
            await self.pair.talk()
            self.flights = list(self.pair.heard)

        self.loop.run_until_complete(talks())

    def round(self, chance: random.Random) -> None:
        async def hears() -> None:
            flight = chance.choice(self.flights)
            self.pair.ends[1].received(checksummed(flight[:12] + mutant(chance, flight)[12:]))
            await self.pair.talk()

        self.loop.run_until_complete(hears())
        if self.pair.ends[1].failed or self.pair.ends[1]._sctp.state == "closed":
            self.pair.close()
            self._connect()
        assert self.crashes == []


TARGETS: dict[str, Callable[[], Target]] = {
    "stun": StunMessages, "turn_strangers": TurnStrangers, "turn_users": TurnUsers,
    "ice": IceChecks, "dtls": DtlsFlights, "media": Media, "streams": StreamsOfBytes,
    "sctp": SctpPackets,
}  # fmt: skip
