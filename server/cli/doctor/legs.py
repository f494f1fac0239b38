"""The ways by which a client may reach the media port, one after the other."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs

from media.connections import PlaneReady
from media.peer.carriers import Carrier, open_datagrams, open_ice_tcp, open_turn_tcp
from media.peer.relay import Relay, Ticket
from server.cli.doctor.ports import bind_error, shown

Transport = Literal["udp", "tcp", "tls"]
RESOLVE_S = 3.0
MOST = 8
"""Of candidates for each transport: a machine with more addresses is not served by more lines."""


@dataclass(frozen=True, slots=True)
class Leg:
    """`is_here`: the address is one of this machine's, so that no router stands between.
    `server`: the name of a TURN server in its URL; "": no relay. `is_ours`: its relay reaches our
    media port; of another server an allocation is all that is asked.
    """

    transport: Transport
    host: str
    port: int
    is_here: bool
    server: str = ""
    is_ours: bool = True

    @property
    def name(self) -> str:
        where = shown(self.host, self.port)
        if not self.server:
            return f"call over {self.transport.upper()} {where}"
        named = f"{self.server} at " if self.server.strip("[]") != self.host else ""
        what = "call over" if self.is_ours else "allocation at"
        return f"{what} TURN/{self.transport.upper()} {named}{where}"

    async def open(self) -> Carrier:
        """Raises Failed."""
        target = self.host, self.port
        if self.transport == "udp":
            return await open_datagrams(target)
        if not self.server:
            return await open_ice_tcp(target)
        tls = ssl.create_default_context() if self.transport == "tls" else None
        return await open_turn_tcp(target, tls=tls, name=self.server if tls else "")

    async def open_relay(self, ticket: Ticket) -> Relay:
        """Raises Failed."""
        return Relay(await self.open(), ticket)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name that has no address."""

    name: str


def direct(ready: PlaneReady) -> list[Leg]:
    """To each offered candidate: those of the public addresses first, as clients have them."""
    legs: dict[Transport, list[Leg]] = {"udp": [], "tcp": []}
    for line in ready.candidates:
        _, _, protocol, _, host, port, *_ = line.split()
        of_kind = legs["tcp" if protocol == "tcp" else "udp"]
        if len(of_kind) < MOST:
            transport: Transport = "tcp" if protocol == "tcp" else "udp"
            of_kind.append(Leg(transport, host, int(port), is_here(host)))
    return [*legs["udp"], *legs["tcp"]]


async def relayed(
    urls: tuple[str, ...], ready: PlaneReady, *, ours: bool = True
) -> AsyncIterator[Leg | Unknown]:
    """One for each TURN URL that clients are told. Where its name leads to another machine (a
    router, a load balancer) or nowhere, and the server is ours, one straight to us too.
    """
    unknown: set[str] = set()
    for url in urls:
        scheme, _, rest = url.partition(":")
        if scheme not in ("turn", "turns"):
            continue
        server, port, transport = _parsed(scheme, rest)
        host = await _address(server, port)
        here = host is not None and is_here(host)
        if host is not None:
            yield Leg(transport, host, port, here, server, ours)
        elif server not in unknown:
            unknown.add(server)
            yield Unknown(server)
        if ours and not here and ready.hosts:
            own = ready.port if transport == "udp" else ready.tcp_port
            yield Leg(transport, ready.hosts[0], own or port, True, server)


def is_here(host: str) -> bool:
    return bind_error(host, 0) is None


def _parsed(scheme: str, rest: str) -> tuple[str, int, Transport]:
    """Of RFC 7065: host, port, transport; the default ports are its own."""
    where, _, query = rest.partition("?")
    asked = parse_qs(query).get("transport", ["tcp" if scheme == "turns" else "udp"])[0]
    host, colon, port = where.rpartition(":")
    if not colon or where.endswith("]"):
        host, port = where, ""
    number = int(port) if port.isdigit() else (5349 if scheme == "turns" else 3478)
    if scheme == "turns":
        return host.strip("[]"), number, "tls"
    return host.strip("[]"), number, "tcp" if asked == "tcp" else "udp"


async def _address(name: str, port: int) -> str | None:
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(
                name, port, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError):
        return None
    v4 = [entry for entry in found if entry[0] == socket.AF_INET]
    return str((v4 or found)[0][4][0])
