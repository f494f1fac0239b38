"""The listening port: reads request heads itself, keeps WebSockets, hands the rest to aiohttp.

A connection that has not sent a whole head costs one small object and no task or timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.hub.engineio.admission import Refusal
from server.hub.engineio.deadlines import SharedTimer
from server.hub.engineio.engine import Engine, owner_of
from server.hub.transport.doorway import Doorway
from server.hub.transport.handover import Handover
from server.hub.transport.websocket import Sink, WebSocket
from server.kernel.peer import TrustedProxies
from server.kernel.tasks import TaskOwner

BACKLOG = 4096
"""Thousands may reconnect in the same second."""

HEADS_S = 0.5
"""How long an end waits for requests whose connections it has accepted."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """`limits.head_bytes` and `limits.request_head_s`, the latter from accept to the empty line."""

    head_bytes: int = 16_384
    request_head_s: float = 10.0


class Acceptor:
    """Serves one port.

    Args:
        engine: WebSocket upgrades of `engine.options.path` become its sockets; None: see `echo`.
        http: makes aiohttp's protocol for a connection: an AppRunner's `server`.
        echo: in place of an engine: makes the sink of every WebSocket on any path.
        trusted: whose X-Forwarded-For counts.
        admit: asked with the peer's address before a new WebSocket session; a Refusal stops it.
        handover: the port is shared with other workers, and their sessions are theirs to serve.
        serves_sockets: False: upgrades are aiohttp's too, to refuse.
    """

    def __init__(
        self,
        engine: Engine,
        http: Callable[[], asyncio.Protocol] | None,
        *,
        limits: HeadLimits | None = None,
        trusted: TrustedProxies | None = None,
        admit: Callable[[str], Refusal | None] | None = None,
        echo: Callable[[WebSocket], Sink] | None = None,
        handover: Handover | None = None,
        serves_sockets: bool = True,
    ) -> None:
        self.engine = engine
        self.handover = handover
        self.serves_sockets = serves_sockets
        if handover is not None:
            engine.tag = handover.tag
        self.http = http
        self.limits = limits or HeadLimits()
        self.trusted = trusted or TrustedProxies(())
        self.admit = admit
        self.echo = echo
        self.connections: dict[asyncio.BaseProtocol, None] = {}
        self._server: asyncio.Server | None = None
        self._emptied: asyncio.Event | None = None
        self._tasks = TaskOwner("acceptor")

    @property
    def timer(self) -> SharedTimer:
        return self.engine.timer

    async def listen(self, host: str, port: int) -> int:
        """Bind and serve; port 0 takes a free one. With a handover the port is shared with what
        listens there in the same way. Returns the port.
        """
        loop = asyncio.get_running_loop()
        shared = self.handover is not None
        self._server = await loop.create_server(
            lambda: Doorway(self),
            host, port, backlog=BACKLOG, reuse_address=True, reuse_port=shared or None,
        )  # fmt: skip
        if self.handover is not None:
            self.handover.open(self.adopt)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def adopt(self, connection: socket.socket, seen: bytes = b"") -> None:
        """Serve a connection that was accepted elsewhere; `seen` was read from it already."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Doorway(self, first=seen), connection)

    def owner_elsewhere(self, query: Mapping[str, str]) -> str | None:
        """The tag of the other worker that has the session which the query names, or of one that
        stays when this one ends and a new session is asked for.
        """
        if self.handover is None:
            return None
        if "sid" not in query:
            return self.handover.sibling() if self.handover.retired else None
        owner = owner_of(query["sid"])
        return owner if owner and owner != self.handover.tag else None

    def is_engine_path(self, path: str) -> bool:
        return path.rstrip("/") == self.engine.options.path.rstrip("/")

    def stop_listening(self) -> None:
        """New connections go to whoever shares the port. Those that wait to be accepted are served:
        the kernel resets what waits at a socket that closes.
        """
        server, self._server = self._server, None
        if server is None:
            return
        for listening in server.sockets:
            self._accept_waiting(listening.fileno())
        server.close()
        if self.handover is not None:
            self.handover.retire()

    def _accept_waiting(self, descriptor: int) -> None:
        with socket.socket(fileno=os.dup(descriptor)) as listening:
            for _ in range(BACKLOG):
                try:
                    connection, _ = listening.accept()
                except OSError:  # none is left, or no descriptor
                    return
                connection.setblocking(False)
                self._tasks.start(self.adopt(connection), "adopt")

    async def close(self, reason: str = "shutdown") -> None:
        """Stop listening, say goodbye to all sockets, wait at most `close_timeout_s`, then drop.
        The handover goes on giving until whoever made it closes it.
        """
        self.stop_listening()
        if self.handover is not None:
            await self.handover.stop_taking()
            await self._await_heads()
        self.engine.close_all(reason)
        await self._tasks.close()
        for protocol in tuple(self.connections):
            if isinstance(protocol, Doorway):
                protocol.drop()
            elif isinstance(protocol, WebSocket):
                protocol.close(1001, reason)
        if self.connections:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.engine.options.close_timeout_s):
                    await self._emptied.wait()
        for protocol in tuple(self.connections):
            if isinstance(protocol, WebSocket):
                protocol.abort()
        await asyncio.sleep(0)
        self.timer.stop()

    async def _await_heads(self) -> None:
        """Who connected just before has a request on the way; another worker may take it."""
        for _ in range(int(HEADS_S / 0.01)):
            doors = [one for one in self.connections if isinstance(one, Doorway)]
            if not doors and not len(self._tasks):
                return
            await asyncio.sleep(0.01)

    def forget(self, protocol: asyncio.BaseProtocol) -> None:
        self.connections.pop(protocol, None)
        if self._emptied is not None and not self.connections:
            self._emptied.set()
