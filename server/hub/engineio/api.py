"""What the layer above (Socket.IO, or an echo) sees of the engine.

    class Hub:                                   # implements Handlers, all calls synchronous
        def on_open(self, socket: Socket, request: Handshake) -> None: ...
        def on_message(self, socket: Socket, data: str | bytes) -> None: ...
        def on_close(self, socket: Socket, reason: str) -> None: ...
        def on_drain(self, socket: Socket) -> None: ...

    engine = Engine(hub, Options(ping_interval_s=25, ping_timeout_s=20))      # inside the loop
    acceptor = Acceptor(engine, app_runner.server, ...)                       # server.hub.transport

`on_message` runs inside the transport's data_received (or a POST's handler): no task, no queue. It
must not raise; a handler that does has its socket closed with 1011 and one log line. `data` is the
message without the Engine.IO type digit: str for text (a whole Socket.IO packet), bytes for binary.

A `Socket` (server.hub.engineio.socket) has:

    sid: str                 20 characters, unguessable (120 random bits), and the engine's tag
    peer: str                the client's address, proxies resolved
    user: Any                belongs to the layer above; None at first
    closed: bool             True from the first moment of closing; sending is then a silent no-op
    transport_name           "websocket" or "polling"
    raw_write                callable(bytes) | None: on WebSocket, writes encoded frames as they are
    congested: bool          the transport asked to stop writing; on_drain follows when it is empty
    send(text)               one message; `text` without the "4"
    send_binary(data)
    send_encoded(encoded)    one message shared by many receivers: encoded once in all
    write_frames(frames, count)   the frames of `count` messages, WebSocket only; on polling use
                             send_encoded (raw_write is None there, also while closing)
    buffered_bytes() -> int  what waits in user space: transport write buffer, or polling queue
    pause() / resume()       stop and go on reading from the client (WebSocket)
    admit()                  ends the `unauthenticated_s` deadline
    close(code=1000, reason="")   Engine.IO close, then the WebSocket's; on_close is called at once
    abort()                  drops the connection without a word; on_close is called at once

Merging is for the layer above: each write is a system call of its own with uvloop 0.23, also within
one loop turn, so who has several frames for a socket joins them and calls `raw_write` once. The
cheapest fan-out is

    for socket in room:
        write = socket.raw_write
        if write is not None: write(frames)
        else: socket.send_encoded(encoded)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from server.hub.engineio.socket import Socket


@dataclass(frozen=True, slots=True)
class Options:
    """Rules of one engine. Seconds may be fractional: 0.3 is announced as 300 ms."""

    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    max_payload: int = 1_000_000
    """Bytes of one message or of one POST body; announced, and enforced."""
    upgrade_timeout_s: float = 10.0
    """A WebSocket that probes and never upgrades is closed after this."""
    unauthenticated_s: float = 0.0
    """A socket not admitted by then is closed; 0: never."""
    close_timeout_s: float = 2.0
    """How long a closing WebSocket may take to answer before it is dropped."""
    polling_packets: int = 16
    """The Python client refuses answers with more."""
    buffer_bytes: int = 32 * 1024 * 1024
    """More than this waiting in user space for one socket closes it."""
    path: str = "/socket.io/"
    allowed_origins: tuple[str, ...] = ()
    """Web origins besides the server's own; ("*",): all."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that opened a session; not kept by the engine. Header names in lower case."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str
    transport: str


class Handlers(Protocol):
    """The layer above. See the module's docstring."""

    def on_open(self, socket: Socket, request: Handshake) -> None: ...

    def on_message(self, socket: Socket, data: str | bytes) -> None: ...

    def on_close(self, socket: Socket, reason: str) -> None: ...

    def on_drain(self, socket: Socket) -> None: ...


@dataclass(slots=True)
class Encoded:
    """One Engine.IO text message for many receivers; frame and polling text are made on demand.

    `text` is the message without the "4" (a Socket.IO packet).
    """

    text: str
    _frame: bytes | None = field(default=None, repr=False)

    @property
    def frame(self) -> bytes:
        """The WebSocket frame of "4" + text."""
        frame = self._frame
        if frame is None:
            frame = self._frame = message_frame(self.text)
        return frame

    @property
    def packet(self) -> str:
        """As a polling answer carries it."""
        return "4" + self.text


def message_frame(text: str) -> bytes:
    """The unmasked, final WebSocket text frame of the Engine.IO message `text`."""
    return ws_text_frame(b"4" + text.encode())


def ws_text_frame(payload: bytes) -> bytes:
    """A final, unmasked text frame. Source: RFC 6455, section 5.2."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def ws_binary_frame(payload: bytes) -> bytes:
    """A final, unmasked binary frame."""
    return b"\x82" + ws_text_frame(payload)[1:]
