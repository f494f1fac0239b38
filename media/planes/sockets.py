"""The sockets of the plane, and what they are called outside: its candidates."""

from __future__ import annotations

import asyncio
import errno
import socket
from functools import partial

from media.ice.candidates import only_private, plan_candidates, same_family
from media.ice.reflexive import Query
from media.planes.datagrams import DatagramSocket, bind_datagram
from media.planes.listeners import StreamListener
from media.planes.oneport import Link, OnePort
from media.planes.renewal import RenewedContext
from media.planes.settings import PlaneSettings, TurnOptions, local_hosts
from media.planes.streams import SharedListener
from media.planes.turn import TurnPlane
from media.turn.settings import OwnAddress, RelayHost, TurnSettings
from media.wire.addresses import Address
from server.kernel.logs import Secret

RESOLVE_S = 5.0


class Sockets:
    """Opened once, closed once."""

    def __init__(self, settings: PlaneSettings, port: OnePort) -> None:
        self._settings = settings
        self._port = port
        self.turn: TurnPlane | None = None
        self._datagrams: list[DatagramSocket] = []
        self._links: dict[int, DatagramSocket] = {}
        self._streams: SharedListener | None = None
        self._mapped: tuple[str, int] | None = None
        self._asking: asyncio.TimerHandle | None = None
        self._certificate: RenewedContext | None = None

    async def open(self) -> None:
        """Raises OSError when an address cannot be had; nothing stays open then."""
        try:
            await self._listen()
        except OSError:
            await self.close()
            raise
        if self._settings.stun_server:
            await self._ask()

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        for one in self._datagrams:
            one.close()
        self._datagrams.clear()
        if self._streams is not None:
            await self._streams.close()
        if self.turn is not None:
            self.turn.close()

    def look(self) -> None:
        """To be called every few seconds: a renewed certificate is taken."""
        if self._certificate is not None:
            self._certificate.look()

    @property
    def udp(self) -> list[Address]:
        return [one.address for one in self._datagrams]

    @property
    def tcp(self) -> list[Address]:
        return self._streams.addresses if self._streams is not None else []

    def local(self, link: Link) -> str:
        """Our end of a link, for the record."""
        bound = self._links.get(link.number)
        host, port = (bound.address if bound is not None else self.tcp[0])[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def candidates(self) -> tuple[list[str], bool]:
        """The lines, and whether nobody outside this network can use them."""
        found = plan_candidates(
            [(host, port) for host, port, *_ in self.udp],
            public=self._settings.public_hosts,
            mapped=self._mapped,
            tcp_port=self.tcp[0][1] if self._streams is not None else None,
        )
        return [one.line() for one in found], only_private(found)

    def found(self, query: Query) -> None:
        """A STUN server has answered."""
        if query.mapped is not None:
            self._mapped = query.mapped[0], query.mapped[1]

    async def _listen(self) -> None:
        hosts = local_hosts(self._settings.hosts)
        found = _bind(hosts, self._settings.port, or_any=self._settings.or_any)
        if self._settings.turn is not None:
            self.turn = TurnPlane(self._turn_settings(self._settings.turn, found))
        for bound in found:
            self._add(bound)
        if self._settings.tcp_port is not None:
            await self._listen_streams(hosts, self._settings.tcp_port)

    async def _listen_streams(self, hosts: list[str], port: int) -> None:
        clear = tls = None
        if self.turn is not None:
            clear = StreamListener(self.turn)
            if self._settings.tls_certificate:
                made = RenewedContext(self._settings.tls_certificate, self._settings.tls_key)
                tls = StreamListener(self.turn, context=made.context)
                self._certificate = made
        self._streams = SharedListener(self._port, clear, tls)
        # One number for several addresses has to be chosen before: that of UDP.
        any_port = self._datagrams[0].address[1] if len(hosts) > 1 else 0
        try:
            await self._streams.open(hosts, port or any_port)
        except OSError as error:
            if not (self._settings.or_any and error.errno == errno.EADDRINUSE):
                raise
            await self._streams.open(hosts, any_port)

    def _turn_settings(self, options: TurnOptions, bound: list[socket.socket]) -> TurnSettings:
        relays = [RelayHost(options.bind, options.public)]
        if options.bind6:
            relays.append(RelayHost(options.bind6, options.public6 or options.bind6))
        own = []
        for host, port, *_ in (one.getsockname() for one in bound):
            names = [one for one in self._settings.public_hosts if same_family(one, host)]
            own += [OwnAddress((name, port), (host, port)) for name in [*names, host]]
        return TurnSettings(
            relays=tuple(relays),
            realm=options.realm,
            secrets=tuple(Secret(secret) for secret in options.secrets),
            first_port=options.first_port,
            last_port=options.last_port,
            own=tuple(own),
            allowed_peers=options.allowed_peers,
            user_bps=options.user_bps,
            user_allocations=options.user_allocations,
        )

    def _add(self, bound: socket.socket) -> None:
        loop, drops = asyncio.get_running_loop(), self._port.drops
        opened = DatagramSocket(bound, loop=loop, drops=drops)
        turn = self.turn.port(opened.send) if self.turn is not None else None
        link = self._port.add_link("udp", opened.send, turn)
        opened.read(partial(self._port.arrived, link))
        self._datagrams.append(opened)
        self._links[link.number] = opened

    async def _ask(self) -> None:
        """The first socket of the server's family asks; without an answer nothing is offered."""
        host, _, port = self._settings.stun_server.rpartition(":")
        loop = asyncio.get_running_loop()
        families = {":" in one.address[0] for one in self._datagrams}
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError, ValueError):
            self._port.drops["stun_server"] += 1
            return
        servers = [
            (str(name[0]), int(name[1])) for *_, name in found if (":" in str(name[0])) in families
        ]
        if servers:
            self._port.query = Query(servers[0], loop.time())
            self._question()

    def _question(self) -> None:
        query = self._port.query
        if query is None or query.is_over:
            self._port.query = None
            return
        loop = asyncio.get_running_loop()
        if query.due(loop.time()):
            asker = next(
                one for one in self._datagrams if same_family(one.address[0], query.server[0])
            )
            asker.send(query.request, query.server)
        deadline = query.next_deadline()
        if deadline is not None:
            self._asking = loop.call_at(deadline, self._question)


def _bind(hosts: list[str], port: int, *, or_any: bool) -> list[socket.socket]:
    """A socket for each host, all with one port. Raises OSError; nothing stays open then."""
    found: list[socket.socket] = []
    try:
        for host in hosts:
            found.append(bind_datagram(host, port))
            port = port or found[0].getsockname()[1]
    except OSError as error:
        for bound in found:
            bound.close()
        if or_any and error.errno == errno.EADDRINUSE:
            return _bind(hosts, 0, or_any=False)
        raise
    return found
