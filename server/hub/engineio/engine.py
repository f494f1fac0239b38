"""All sessions of one server: opens them, finds them, ends them."""

from __future__ import annotations

import secrets

from server.hub.engineio.api import Handlers, Handshake, Options
from server.hub.engineio.deadlines import SharedTimer
from server.hub.engineio.packets import open_packet
from server.hub.engineio.session import Session
from server.hub.engineio.socket import Carrier, Socket

_SID_BYTES = 15
_SID_CHARS = 20
"""120 random bits: 20 characters of base64url without padding; the engine's tag follows them."""


def owner_of(sid: str) -> str:
    """The tag of the engine that made it."""
    return sid[_SID_CHARS:]


class Engine:
    """Made inside the running loop. `handlers` is the layer above; transports call `open`."""

    def __init__(self, handlers: Handlers, options: Options | None = None) -> None:
        self.handlers = handlers
        self.options = options or Options()
        self.timer = SharedTimer()
        self.sockets: dict[str, Socket] = {}
        self.draining = False
        self.tag = ""
        """Tells this engine from others on the same port; set before the first session."""

    def open(self, carrier: Carrier, request: Handshake) -> Socket:
        """A new session; its first packet is sent, then the layer above hears of it."""
        sid = secrets.token_urlsafe(_SID_BYTES) + self.tag
        session = Session(self.options, self.timer.time())
        socket = Socket(self, carrier, session, sid=sid, peer=request.peer)
        self.sockets[sid] = socket
        upgradable = carrier.raw_write is None
        carrier.send(open_packet(sid, self.options, upgradable=upgradable))
        self.timer.watch(socket)
        self.handlers.on_open(socket, request)
        return socket

    def find(self, sid: str) -> Socket | None:
        """The session, unless its time is over, be its timer late or not."""
        socket = self.sockets.get(sid)
        if socket is not None:
            deadline, now = socket.next_deadline(), self.timer.time()
            if deadline is not None and deadline <= now:
                socket.tick(now)
        return self.sockets.get(sid)

    def forget(self, socket: Socket) -> None:
        self.sockets.pop(socket.sid, None)

    def check_buffer(self, socket: Socket) -> None:
        """Past `buffer_bytes` a client that does not read loses its connection."""
        if socket.buffered_bytes() > self.options.buffer_bytes:
            socket.close(1008, "too slow")

    def close_all(self, reason: str = "shutdown") -> None:
        """Say goodbye to everybody; their transports end within `close_timeout_s`."""
        self.draining = True
        for socket in tuple(self.sockets.values()):
            socket.close(1001, reason)
