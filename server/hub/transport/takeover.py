"""A WebSocket asked for on a connection that carried HTTP before: taken back from aiohttp.

The acceptor sees only the first request of a connection. Clients with a connection pool (aiohttp,
and python-socketio on it) send the upgrade on the one that carried their long-polling.
"""

from __future__ import annotations

from aiohttp import web

from server.hub.transport.acceptor import Acceptor, Doorway


def asks_for_websocket(request: web.Request) -> bool:
    return "websocket" in request.headers.get("Upgrade", "").lower()


def take_over(request: web.Request, acceptor: Acceptor) -> web.StreamResponse:
    """Let the acceptor judge the request as if the connection had begun with it.

    A client sends no frame before it has read the 101, so no byte after the head is lost. The
    answer returned goes nowhere: aiohttp believes that the connection is gone.
    """
    protocol, transport = request.protocol, request.transport
    if transport is None:
        return web.Response()
    head = b"".join(name + b": " + value + b"\r\n" for name, value in request.raw_headers)
    start = f"{request.method} {request.raw_path} HTTP/{request.version[0]}.{request.version[1]}"
    protocol.transport = None
    protocol.connection_lost(None)
    doorway = Doorway(acceptor)
    transport.set_protocol(doorway)
    doorway.connection_made(transport)
    doorway.data_received(start.encode("latin-1") + b"\r\n" + head + b"\r\n")
    return web.Response()
