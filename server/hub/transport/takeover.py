"""A request on a connection that carried HTTP before, taken back from aiohttp: a WebSocket asked
for, or long-polling of a session that another worker has.

The acceptor sees only the first request of a connection. Clients with a connection pool (aiohttp,
and python-socketio on it) send the upgrade on the one that carried their long-polling; browsers and
proxies send requests of several sessions on one.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from server.hub.transport.acceptor import Acceptor
from server.hub.transport.doorway import Doorway

READ_ALREADY = frozenset({b"content-length", b"content-encoding", b"transfer-encoding", b"expect"})
"""Headers that tell how the body travelled to us; it goes on as it is."""


def asks_for_websocket(request: web.Request) -> bool:
    return "websocket" in request.headers.get("Upgrade", "").lower()


def take_over(request: web.Request, acceptor: Acceptor) -> web.StreamResponse:
    """Let the acceptor judge the request as if the connection had begun with it.

    A client sends no frame before it has read the 101, so no byte after the head is lost. The
    answer returned goes nowhere: aiohttp believes that the connection is gone.
    """
    return _begin_again(request, Doorway(acceptor), request.raw_headers, b"")


def pass_on(
    request: web.Request, acceptor: Acceptor, *, body: bytes, owner: str
) -> web.StreamResponse:
    """Give the connection to the worker `owner`, with the request and its `body` again.

    A client waits for the answer before it sends more (none pipelines here): no byte is lost.
    """
    headers = [pair for pair in request.raw_headers if pair[0].lower() not in READ_ALREADY]
    if request.method == "POST":
        headers.append((b"Content-Length", b"%d" % len(body)))
    return _begin_again(request, Doorway(acceptor, owner=owner), headers, body)


def _begin_again(
    request: web.Request, doorway: Doorway, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> web.StreamResponse:
    protocol, transport = request.protocol, request.transport
    if transport is None:
        return web.Response()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    start = f"{request.method} {request.raw_path} HTTP/{request.version[0]}.{request.version[1]}"
    protocol.transport = None
    protocol.connection_lost(None)
    transport.set_protocol(doorway)
    doorway.connection_made(transport)
    doorway.data_received(start.encode("latin-1") + b"\r\n" + lines + b"\r\n" + body)
    return web.Response()
