"""The modes of the protocol server: each starts the product's own classes on a port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from server.hub.engineio.api import Handshake, Options
from server.hub.engineio.engine import Engine
from server.hub.engineio.packets import Packet
from server.hub.engineio.socket import Socket
from server.hub.transport.acceptor import Acceptor, HeadLimits
from server.hub.transport.polling import add_polling
from server.hub.transport.websocket import WebSocket

Stop = Callable[[], Awaitable[None]]
Mode = Callable[[str, int], Awaitable[tuple[int, Stop]]]
"""(host, port) -> (bound port, how to stop)."""

MODES: dict[str, Mode] = {}


class EchoHandlers:
    """Every message comes back."""

    def on_open(self, socket: Socket, request: Handshake) -> None:
        pass

    def on_message(self, socket: Socket, data: str | bytes) -> None:
        if isinstance(data, str):
            socket.send(data)
        else:
            socket.send_binary(data)

    def on_close(self, socket: Socket, reason: str) -> None:
        pass

    def on_drain(self, socket: Socket) -> None:
        pass


class EchoSink:
    """Raw WebSocket messages come back; past the congestion mark reading stops until it drained."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def received(self, packet: Packet) -> None:
        self._websocket.send(packet)

    def lost(self, reason: str) -> None:
        pass

    def writable(self, writable: bool) -> None:
        if writable:
            self._websocket.resume()
        else:
            self._websocket.pause()


PROTOCOL_OPTIONS = Options(
    ping_interval_s=0.3, ping_timeout_s=0.2, path="/engine.io/", allowed_origins=("*",)
)


async def serve_engine(
    engine: Engine,
    host: str,
    port: int,
    *,
    limits: HeadLimits | None = None,
    request_body_s: float = 30.0,
    routes: Callable[[web.Application], None] | None = None,
    acceptor: Acceptor | None = None,
) -> tuple[int, Stop]:
    """The engine on a port, WebSocket and polling, as compose does it."""
    limits = limits or HeadLimits()
    acceptor = acceptor or Acceptor(engine, None, limits=limits)
    app = web.Application()
    add_polling(app, engine, request_body_s=request_body_s, acceptor=acceptor)
    if routes is not None:
        routes(app)
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=limits.request_head_s, lingering_time=0.5
    )
    await runner.setup()
    acceptor.http = runner.server

    async def stop() -> None:
        await acceptor.close()
        await runner.cleanup()
        if acceptor.handover is not None:
            await acceptor.handover.close()

    return await acceptor.listen(host, port), stop


async def engineio_mode(host: str, port: int) -> tuple[int, Stop]:
    return await serve_engine(Engine(EchoHandlers(), PROTOCOL_OPTIONS), host, port)


async def echo_mode(host: str, port: int) -> tuple[int, Stop]:
    acceptor = Acceptor(Engine(EchoHandlers()), None, echo=EchoSink)
    return await acceptor.listen(host, port), acceptor.close


MODES["engineio"] = engineio_mode
MODES["echo"] = echo_mode
