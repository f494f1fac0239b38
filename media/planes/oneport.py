"""The shared port: tells STUN, TURN, DTLS and RTP apart and carries them between sockets and
connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from media.connections import ConnectionDown, ConnectionUp
from media.ice.lite import Lite
from media.ice.outputs import Dropped, Lost, Output, Path, RoundTrip, Selected, Send
from media.ice.reflexive import Query
from media.planes.connection import Connection
from media.planes.turn import TurnPort
from media.wire.addresses import Address
from media.wire.attributes import USERNAME
from media.wire.demux import Kind, kind_of, ssrc_of
from media.wire.stun import BINDING, HEADER_BYTES, REQUEST, SUCCESS, Malformed, Message, parse

_BINDING_CLASSES = 0xFEEF
"""All bits of a STUN type but those of its class."""


class Owner(Protocol):
    """Hears of what became of connections."""

    def path_selected(self, connection: Connection, path: Path, why: str) -> None: ...

    def path_lost(self, connection: Connection, why: str) -> None: ...

    def came_up(self, connection: Connection, report: ConnectionUp) -> None: ...

    def went_down(self, connection: Connection, report: ConnectionDown) -> None:
        """For good: it is closed already."""
        ...

    def address_found(self, query: Query) -> None: ...


class Link:
    """One UDP socket, or one TCP connection: where what came from it goes back."""

    __slots__ = ("number", "protocol", "send", "turn")

    def __init__(
        self,
        number: int,
        protocol: str,
        send: Callable[[bytes, Address], object],
        turn: TurnPort | None = None,
    ) -> None:
        self.number = number
        self.protocol = protocol
        self.send = send
        self.turn = turn


class OnePort:
    """Everything behind the sockets. Lives on the loop's thread; nothing here waits."""

    def __init__(self, owner: Owner, drops: Counter[str]) -> None:
        self.ice = Lite()
        self.connections: dict[str, Connection] = {}
        self.links: dict[int, Link] = {}
        self.drops = drops
        self.query: Query | None = None
        self._owner = owner
        self._by_ssrc: dict[int, Connection] = {}
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When the timer is to run. Its own `when` is missing under uvloop for what is due now."""
        self._numbers = 0

    def add_link(
        self,
        protocol: str,
        send: Callable[[bytes, Address], object],
        turn: TurnPort | None = None,
    ) -> Link:
        self._numbers += 1
        link = self.links[self._numbers] = Link(self._numbers, protocol, send, turn)
        return link

    def drop_link(self, link: Link, address: Address) -> None:
        """A TCP connection was closed."""
        del self.links[link.number]
        self.perform(self.ice.path_gone((link.number, address), self._time()))

    def arrived(self, link: Link, data: bytes, address: Address) -> None:
        """One datagram, or one framed packet of a TCP connection."""
        kind = kind_of(data)
        if kind is Kind.RTP:
            self._media(data, (link.number, address))
        elif kind is Kind.STUN:
            self._stun(link, data, address)
        elif kind is Kind.DTLS:
            self._dtls(data, (link.number, address))
        elif kind is Kind.CHANNEL and link.turn is not None:
            link.turn.datagram(data, address)
        else:
            self.drops["noise"] += 1

    def remove(self, connection: Connection) -> None:
        """The connection has said its last word; nothing is kept of it."""
        self.connections.pop(connection.id, None)
        self.ice.close(connection.id)
        for ssrc in connection.losses.ssrcs:
            if self._by_ssrc.get(ssrc) is connection:
                del self._by_ssrc[ssrc]

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send((number, address), data):
                    self._send(number, data, address)
                case Dropped(reason):
                    self.drops[reason] += 1
                case Selected(name, path, why):
                    self._selected(self.connections[name], path, why)
                case Lost(name, why):
                    self._owner.path_lost(self.connections[name], why)
                case RoundTrip(name, seconds):
                    self.connections[name].rtt_ms = round(seconds * 1000, 3)
        self._arm()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- what connections ask for --------------------------------------------------------------

    def transmit(self, connection: Connection, data: bytes) -> None:
        path = self.ice.selected(connection.id)
        if path is None:
            self.drops["no_path"] += 1
            return
        self._send(path[0], data, path[1])

    def heard_stream(self, connection: Connection, ssrc: int) -> None:
        self._by_ssrc[ssrc] = connection

    def report_up(self, connection: Connection, report: ConnectionUp) -> None:
        self._owner.came_up(connection, report)

    def report_down(self, connection: Connection, report: ConnectionDown) -> None:
        self.remove(connection)
        self._owner.went_down(connection, report)

    # ---- what arrives --------------------------------------------------------------------------

    def _media(self, packet: bytes, path: Path) -> None:
        route = self.ice.route(path)
        if route is None:
            # A NAT gave the peer a new address: its stream tells whose it may be.
            connection = self._by_ssrc.get(ssrc_of(packet))
        else:
            connection = self.connections[route.session.id]
        if connection is None or not connection.media(packet):
            self.drops["media"] += 1
            return
        now = self._time()
        if route is not None and route.session.selected is route:
            route.heard_at = now
            return
        self.perform(self.ice.heard_media(connection.id, path, now))

    def _dtls(self, data: bytes, path: Path) -> None:
        route = self.ice.route(path)
        if route is None or not route.proved:
            self.drops["dtls"] += 1
            return
        route.heard_at = self._time()
        self.connections[route.session.id].dtls(data)

    def _stun(self, link: Link, data: bytes, address: Address) -> None:
        if len(data) < HEADER_BYTES:
            self.drops["short"] += 1
            return
        if (data[0] << 8 | data[1]) & _BINDING_CLASSES != BINDING:
            self._foreign(link, data, address)
            return
        message = parse(data)
        if isinstance(message, Malformed):
            self.drops[message.reason] += 1
        elif message.kind == REQUEST and USERNAME not in message.attributes:
            self._foreign(link, data, address)
        elif not self._is_ours(message, address):
            path = (link.number, address)
            self.perform(self.ice.handle_message(message, path, self._time()))

    def _foreign(self, link: Link, data: bytes, address: Address) -> None:
        """STUN for the TURN server, where there is one."""
        if link.turn is None:
            self.drops["no_turn"] += 1
            return
        link.turn.datagram(data, address)

    def _is_ours(self, message: Message, address: Address) -> bool:
        """The answer to our question after our own address."""
        query = self.query
        if query is None or message.kind != SUCCESS or not query.answered(message, address):
            return False
        self.query = None
        self._owner.address_found(query)
        return True

    def _selected(self, connection: Connection, path: Path, why: str) -> None:
        self._owner.path_selected(connection, path, why)
        connection.has_path()

    def _send(self, number: int, data: bytes, address: Address) -> None:
        link = self.links.get(number)
        if link is not None:
            link.send(data, address)

    def _arm(self) -> None:
        deadline = self.ice.next_deadline()
        if deadline is None or (self._timer is not None and self._due <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = deadline
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.perform(self.ice.tick(self._time()))
