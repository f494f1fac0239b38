"""TURN from the client's side (RFC 8656): one allocation, one channel, packets through both.

Signs as browsers do: long-term credential, MD5 and SHA-1. Refreshes nothing, so it is good for the
5 minutes of a permission.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from media.peer.carriers import Arrived, Carrier
from media.peer.requests import Requests
from media.peer.steps import Failed, Step
from media.wire import attributes as a
from media.wire.addresses import IPV4, IPV6, Address, decode_xor, encode_xor
from media.wire.framing import CHANNEL_HEADER_BYTES, FIRST_CHANNEL, is_channel
from media.wire.stun import (
    ALLOCATE,
    CHANNEL_BIND,
    ERROR,
    REFRESH,
    REQUEST,
    Attribute,
    Malformed,
    Message,
    build,
    parse,
)

_CHANNEL = FIRST_CHANNEL.to_bytes(2, "big")
_UDP = (a.REQUESTED_TRANSPORT, b"\x11\0\0\0")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What `ice_servers` has for a TURN server."""

    username: str
    credential: str

    def __repr__(self) -> str:
        return "Ticket(...)"


class Relay:
    """A carrier through a TURN server: `allocate`, `reach`, then packets."""

    is_reliable = False

    def __init__(self, carrier: Carrier, ticket: Ticket) -> None:
        self.relayed: Address | None = None
        """What peers see of us."""
        self._carrier = carrier
        self._ticket = ticket
        self._requests = Requests(carrier)
        self._arrived: Arrived | None = None
        self._realm = self._nonce = b""
        carrier.listen(self._from_server)

    @property
    def trouble(self) -> str:
        return self._carrier.trouble

    async def allocate(self, family: int = IPV4) -> None:
        """Raises Failed. The first answer is a challenge, the second the allocation."""
        wanted = [_UDP]
        if family == IPV6:
            wanted.append((a.REQUESTED_ADDRESS_FAMILY, bytes((IPV6, 0, 0, 0))))
        challenge = await self._requests.ask(
            "allocation", lambda number: build(ALLOCATE | REQUEST, number, wanted)
        )
        if _code(challenge) != 401:
            raise Failed("allocation", _refusal(challenge) or "no credential is asked for")
        self._realm = challenge.get(a.REALM) or b""
        self._nonce = challenge.get(a.NONCE) or b""
        answer = await self._asks("allocation", ALLOCATE, wanted)
        value = answer.get(a.XOR_RELAYED_ADDRESS)
        self.relayed = decode_xor(value, answer.transaction) if value is not None else None
        if self.relayed is None:
            raise Failed("allocation", "the answer has no relayed address")

    async def reach(self, peer: Address) -> None:
        """A channel to the peer, which is a permission for it too. Raises Failed."""

        def wanted(number: bytes) -> list[Attribute]:
            return [
                (a.CHANNEL_NUMBER, _CHANNEL + b"\0\0"),
                (a.XOR_PEER_ADDRESS, encode_xor(peer, number)),
            ]

        answer = await self._requests.ask(
            "permission", lambda number: self._signed(CHANNEL_BIND, number, wanted(number))
        )
        self._refused("permission", answer)

    def listen(self, arrived: Arrived) -> None:
        self._arrived = arrived

    def send(self, packet: bytes) -> None:
        self._carrier.send(_CHANNEL + len(packet).to_bytes(2, "big") + packet)

    def close(self) -> None:
        """The allocation ends at once, and the carrier."""
        if self.relayed is not None:
            nothing = (a.LIFETIME, bytes(4))
            self._carrier.send(self._signed(REFRESH, secrets.token_bytes(12), [nothing]))
        self._carrier.close()

    async def _asks(self, step: Step, method: int, attributes: list[Attribute]) -> Message:
        answer = await self._requests.ask(
            step, lambda number: self._signed(method, number, attributes)
        )
        self._refused(step, answer)
        return answer

    def _signed(self, method: int, number: bytes, attributes: list[Attribute]) -> bytes:
        username = self._ticket.username
        key = a.long_term_key(
            a.MD5, username=username, realm=self._realm.decode(errors="replace"),
            password=self._ticket.credential,
        )  # fmt: skip
        who = [(a.USERNAME, username.encode()), (a.REALM, self._realm), (a.NONCE, self._nonce)]
        return build(method | REQUEST, number, [*attributes, *who], key=key)

    def _refused(self, step: Step, answer: Message) -> None:
        if answer.kind == ERROR:
            raise Failed(step, _refusal(answer))

    def _from_server(self, packet: bytes) -> None:
        if len(packet) >= CHANNEL_HEADER_BYTES and is_channel(packet[0]):
            size = packet[2] << 8 | packet[3]
            data = packet[CHANNEL_HEADER_BYTES : CHANNEL_HEADER_BYTES + size]
            if packet[:2] == _CHANNEL and len(data) == size and self._arrived is not None:
                self._arrived(data)
            return
        message = parse(packet)
        if not isinstance(message, Malformed):
            self._requests.answered(message)


def _code(message: Message) -> int | None:
    value = message.get(a.ERROR_CODE)
    return a.decode_error(value) if value is not None else None


def _refusal(message: Message) -> str:
    """ "403 Forbidden"; "" for a success."""
    value = message.get(a.ERROR_CODE)
    if value is None:
        return ""
    return f"{_code(message)} {value[4:].decode(errors='replace')}".strip()
