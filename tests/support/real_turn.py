"""Our TURN server on loopback sockets of this process, with a peer that echoes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from media.planes.datagrams import DatagramSocket, bind_all
from media.planes.listeners import StreamListener, listen_datagrams
from media.planes.turn import TurnPlane
from media.turn.settings import RelayHost, TurnSettings
from server.kernel.logs import Secret
from tests.support.servers.base import free_port

USER, PASSWORD, SECRET = "fixed", "open-sesame", "ticket-secret"
HOSTS = ("127.0.0.1", "::1")
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class RealTurn:
    """By host: the ports of UDP, TCP and TLS, and of a peer that sends everything back (the next
    port does so too)."""

    plane: TurnPlane
    udp: dict[str, int] = field(default_factory=dict)
    tcp: dict[str, int] = field(default_factory=dict)
    tls: dict[str, int] = field(default_factory=dict)
    echo: dict[str, int] = field(default_factory=dict)


def settings(**changed: Any) -> TurnSettings:
    chosen: dict[str, Any] = {
        "relays": tuple(RelayHost(host, host) for host in HOSTS),
        "users": {USER: Secret(PASSWORD)}, "secrets": (Secret(SECRET),),
        # Every client of a test has one address and one name.
        "stranger_per_s": 1_000, "user_allocations": 500, "allowed_peers": LOOPBACK,
    }  # fmt: skip
    return TurnSettings(**{**chosen, **changed})


@asynccontextmanager
async def serving(
    *, context: ssl.SSLContext | None = None, streams: dict[str, Any] | None = None, **changed: Any
) -> AsyncIterator[RealTurn]:
    """`changed` are settings, `streams` arguments of the TCP and TLS listeners."""
    plane = TurnPlane(settings(**changed))
    turn = RealTurn(plane)
    sockets: list[DatagramSocket] = []
    listeners: list[StreamListener] = []
    try:
        for host in HOSTS:
            listener = listen_datagrams(plane, host, 0)
            sockets += [listener, *_echo(host, turn)]
            turn.udp[host] = listener.address[1]
            for ports, tls in ((turn.tcp, None), (turn.tls, context)):
                stream = StreamListener(plane, context=tls, **(streams or {}))
                await stream.open(host, 0)
                listeners.append(stream)
                ports[host] = stream.address[1]
        yield turn
    finally:
        for one in listeners:
            await one.close()
        for bound in sockets:
            bound.close()
        plane.close()


def _echo(host: str, turn: RealTurn) -> list[DatagramSocket]:
    """On two ports in a row: coturn's client sends RTCP to the second."""
    pair = None
    while pair is None:
        port = free_port()
        pair = bind_all(host, (port, port + 1))
    turn.echo[host] = port
    return [_echoing(one) for one in pair]


def _echoing(bound: socket.socket) -> DatagramSocket:
    peer = DatagramSocket(bound, loop=asyncio.get_running_loop(), drops=Counter())
    peer.read(peer.send)
    return peer
