"""A TURN server in virtual time: clients that talk to it, peers, and the sockets it asks for."""

from __future__ import annotations

import random
from typing import Any

from media.turn import exchange as x
from media.turn.credentials import ticket_password
from media.turn.server import TurnServer
from media.turn.settings import RelayHost, TurnSettings
from media.wire import attributes as a
from media.wire.addresses import Address, decode_xor, encode_xor
from media.wire.stun import (
    ALLOCATE,
    CHANNEL_BIND,
    CREATE_PERMISSION,
    INDICATION,
    REFRESH,
    SEND,
    Attribute,
    Message,
    build,
    parse,
)
from server.kernel.logs import Secret

UNIX_S = 1_800_000_000
SECRET = Secret("shared with the one who hands out tickets")
RELAYS = (RelayHost("198.51.100.7", "198.51.100.7"), RelayHost("2a00::7", "2a00::7"))
PEER: Address = ("8.8.8.8", 5000)
PEER6: Address = ("2a00:1450::8", 5000, 0, 0)
UDP = (a.REQUESTED_TRANSPORT, b"\x11\0\0\0")
IPV4_WANTED = (a.REQUESTED_ADDRESS_FAMILY, b"\x01\0\0\0")
IPV6_WANTED = (a.REQUESTED_ADDRESS_FAMILY, b"\x02\0\0\0")
IPV6_TOO = (a.ADDITIONAL_ADDRESS_FAMILY, b"\x02\0\0\0")


def lifetime(seconds: int) -> Attribute:
    return a.LIFETIME, seconds.to_bytes(4, "big")


class TurnHouse:
    """Takes the settings' names. `taken`: ports that cannot be bound; `held`: True keeps the
    server waiting for its sockets.
    """

    def __init__(self, **settings: Any) -> None:
        chosen: dict[str, Any] = {
            "relays": RELAYS, "secrets": (SECRET,), "users": {"fixed": Secret("open sesame")},
            "user_bps": 0,
        }  # fmt: skip
        self.settings = TurnSettings(**{**chosen, **settings})
        self.random = random.Random(7)
        self.server = TurnServer(
            self.settings, random_bytes=self.random.randbytes, unix_at_zero=UNIX_S
        )
        self.now = 0.0
        self.taken: set[int] = set()
        self.held = False
        self.waiting: list[x.OpenRelays] = []
        self.open: dict[int, tuple[str, int]] = {}
        self.closed: list[x.AllocationClosed] = []

    def give(self, given: x.Input) -> list[x.Output]:
        return self._follow(self.server.handle(given, self.now))

    def passes(self, seconds: float) -> None:
        """Time goes by, and the server is called when it wants to be."""
        end = self.now + seconds
        while (deadline := self.server.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self._follow(self.server.tick(self.now))
        self.now = end

    def client(self, host: str = "203.0.113.50", port: int = 40_000, **named: Any) -> Client:
        return Client(self, (1, (host, port) if ":" not in host else (host, port, 0, 0)), **named)

    def from_peer(self, relay: int, data: bytes, peer: Address = PEER) -> list[x.Output]:
        return self.give(x.FromPeer(relay, peer, data))

    def relay_of(self, address: Address) -> int:
        return next(relay for relay, at in self.open.items() if at == address[:2])

    def release(self) -> list[x.Output]:
        """The sockets that were held are there."""
        self.held, waiting, self.waiting = False, self.waiting, []
        return [out for one in waiting for out in self.give(x.RelaysOpened(one.relays))]

    def _follow(self, outputs: list[x.Output]) -> list[x.Output]:
        told: list[x.Output] = []
        for output in outputs:
            match output:
                case x.OpenRelays() if self.held:
                    self.waiting.append(output)
                case x.OpenRelays(relays, host, ports) if self.taken.isdisjoint(ports):
                    for relay, port in zip(relays, ports, strict=True):
                        assert (host, port) not in self.open.values()
                        self.open[relay] = host, port
                    told += self.give(x.RelaysOpened(relays))
                case x.OpenRelays(relays):
                    told += self.give(x.RelaysRefused(relays))
                case x.CloseRelay(relay):
                    self.open.pop(relay, None)
                case x.AllocationClosed():
                    self.closed.append(output)
                    told.append(output)
                case _:
                    told.append(output)
        return told


class Client:
    """A client with a ticket of `user`, or with the fixed account's name and password."""

    def __init__(
        self,
        house: TurnHouse,
        flow: x.Flow,
        *,
        user: str = "anna",
        expires_s: int = 3600,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.house = house
        self.flow = flow
        self.username = username or f"{UNIX_S + int(house.now) + expires_s}:{user}"
        self.password = password or ticket_password(SECRET, self.username)
        self.realm = house.settings.realm
        self.nonce = b""
        self.sha256 = False
        self.hashed = False
        self.relayed: list[Address] = []

    def raw(self, data: bytes) -> list[x.Output]:
        return self.house.give(x.FromClient(self.flow, data))

    def transaction(self) -> bytes:
        return self.house.random.randbytes(12)

    def unsigned(self, method: int, *attributes: Attribute, fingerprint: bool = False) -> Message:
        """The answer to a request without a credential; fails where none comes."""
        data = build(method, self.transaction(), attributes, fingerprint=fingerprint)
        return self.answer(self.raw(data))

    def challenge(self) -> None:
        answer = self.unsigned(ALLOCATE, UDP)
        assert code_of(answer) == 401
        self.nonce = answer.attributes[a.NONCE]

    def sign(self, method: int, *attributes: Attribute, transaction: bytes | None = None) -> bytes:
        algorithm = a.SHA256 if self.sha256 else a.MD5
        key = a.long_term_key(
            algorithm, username=self.username, realm=self.realm, password=self.password
        )
        name = (a.USERNAME, self.username.encode())
        if self.hashed:
            name = (a.USERHASH, a.userhash(self.username, self.realm))
        proof = [name, (a.REALM, self.realm.encode()), (a.NONCE, self.nonce)]
        if self.sha256:
            proof += [(a.PASSWORD_ALGORITHMS, a.ALGORITHMS), (a.PASSWORD_ALGORITHM, b"\0\2\0\0")]
        return build(
            method, transaction or self.transaction(), [*attributes, *proof],
            key=key, sha256=self.sha256,
        )  # fmt: skip

    def ask(self, method: int, *attributes: Attribute) -> Message:
        """The answer to a signed request."""
        if not self.nonce:
            self.challenge()
        return self.answer(self.raw(self.sign(method, *attributes)))

    def answer(self, outputs: list[x.Output]) -> Message:
        answers = [out for out in outputs if isinstance(out, x.ToClient) and out.flow == self.flow]
        assert len(answers) == 1, outputs
        message = parse(answers[0].data)
        assert isinstance(message, Message)
        return message

    def allocate(self, *attributes: Attribute) -> Message:
        answer = self.ask(ALLOCATE, UDP, *attributes)
        values = answer.every(a.XOR_RELAYED_ADDRESS)
        found = [decode_xor(value, answer.transaction) for value in values]
        self.relayed = [address for address in found if address is not None]
        return answer

    def refresh(self, *attributes: Attribute) -> Message:
        return self.ask(REFRESH, *attributes)

    def permit(self, *peers: Address) -> Message:
        transaction = self.transaction()
        named = [(a.XOR_PEER_ADDRESS, encode_xor(peer, transaction)) for peer in peers]
        if not self.nonce:
            self.challenge()
        data = self.sign(CREATE_PERMISSION, *named, transaction=transaction)
        return self.answer(self.raw(data))

    def bind(self, number: int, peer: Address = PEER) -> Message:
        transaction = self.transaction()
        attributes = [
            (a.CHANNEL_NUMBER, number.to_bytes(2, "big") + b"\0\0"),
            (a.XOR_PEER_ADDRESS, encode_xor(peer, transaction)),
        ]
        return self.answer(self.raw(self.sign(CHANNEL_BIND, *attributes, transaction=transaction)))

    def send(self, data: bytes, peer: Address = PEER, *more: Attribute) -> list[x.Output]:
        transaction = self.transaction()
        attributes = [(a.XOR_PEER_ADDRESS, encode_xor(peer, transaction)), (a.DATA, data), *more]
        return self.raw(build(SEND | INDICATION, transaction, attributes))

    def channel(self, number: int, data: bytes) -> list[x.Output]:
        return self.raw(number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data)

    def hears(self, data: bytes, peer: Address = PEER) -> list[x.Output]:
        """What the server does with a peer's datagram to the first relayed address."""
        family6 = ":" in peer[0]
        mine = next(one for one in self.relayed if (":" in one[0]) == family6)
        return self.house.from_peer(self.house.relay_of(mine), data, peer)


def code_of(answer: Message) -> int | None:
    """The error's code; None: a success."""
    value = answer.get(a.ERROR_CODE)
    return a.decode_error(value) if value is not None else None


def lifetime_of(answer: Message) -> int | None:
    return a.decode_u32(answer.get(a.LIFETIME))
