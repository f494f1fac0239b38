"""A WebSocket connection: frames in, messages to a sink, frames out. No task, no timer of its own.

Source: RFC 6455, sections 5-7. permessage-deflate is not offered: a compression context costs more
memory than everything else of a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from server.hub.engineio.api import ws_binary_frame, ws_text_frame
from server.hub.engineio.deadlines import SharedTimer
from server.hub.engineio.packets import Packet
from server.hub.engineio.socket import Socket
from server.hub.transport.frames import (
    Close,
    FrameReader,
    Ping,
    Violation,
    close_frame,
    pong_frame,
)

LARGE_READ = 65_536
"""After a read of this size other connections get their turn before the next."""


class Sink(Protocol):
    """Who gets the messages of one connection."""

    def received(self, packet: Packet) -> None: ...

    def lost(self, reason: str) -> None: ...

    def writable(self, writable: bool) -> None: ...


class WebSocket(asyncio.Protocol):
    """Carries messages; the engine's sockets use it as their Carrier, the echo server directly."""

    __slots__ = (
        "_closing_by",
        "_forget",
        "_held",
        "_max_size",
        "_reader",
        "_resting",
        "_sink",
        "_timer",
        "_transport",
        "close_timeout_s",
        "scheduled",
    )

    name = "websocket"

    def __init__(
        self,
        transport: asyncio.Transport,
        timer: SharedTimer,
        *,
        max_size: int,
        close_timeout_s: float,
        forget: Callable[[asyncio.BaseProtocol], None],
    ) -> None:
        self._transport = transport
        self._timer = timer
        self._max_size = max_size
        self._forget = forget
        self._reader: FrameReader | None = FrameReader()
        self._sink: Sink | None = None
        self._held = False
        self._resting = False
        self._closing_by: float | None = None
        self.close_timeout_s = close_timeout_s
        self.scheduled = 0

    def attach(self, sink: Sink | None) -> None:
        """From now on `sink` gets what comes."""
        self._sink = sink

    # ---- Carrier ---------------------------------------------------------------------------------

    @property
    def raw_write(self) -> Callable[[bytes], None]:
        return self._transport.write

    def send(self, packet: Packet) -> None:
        if self._reader is None:
            return
        if isinstance(packet, str):
            self._transport.write(ws_text_frame(packet.encode()))
        else:
            self._transport.write(ws_binary_frame(packet))

    def buffered_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def take(self) -> Iterable[Packet]:
        return ()

    def release(self, packet: str) -> None:
        pass

    def close(self, code: int, reason: str, farewell: str = "") -> None:
        """Send a close frame and end the sending side; what still comes in is thrown away.

        The connection is dropped when the peer closes its side, or after `close_timeout_s`.
        """
        if self._reader is None:
            return
        self._reader = None
        self._transport.write(close_frame(code, reason))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if (self._held or self._resting) and not self._transport.is_closing():
            self._held = self._resting = False
            self._transport.resume_reading()
        self.limit(self.close_timeout_s)

    def abort(self) -> None:
        self._reader = None
        self._transport.abort()

    def pause(self) -> None:
        if not self._held:
            self._held = True
            if not self._resting:
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._held:
            self._held = False
            self._go_on()

    # ---- deadlines -------------------------------------------------------------------------------

    def limit(self, seconds: float | None) -> None:
        """Drop the connection after this time, unless told otherwise (None) before."""
        self._closing_by = None if seconds is None else self._timer.time() + seconds
        self._timer.watch(self)

    def next_deadline(self) -> float | None:
        return self._closing_by

    def tick(self, now: float) -> None:
        self._closing_by = None
        self.abort()

    # ---- asyncio.Protocol ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        for event in reader.receive(data, self._max_size):
            if type(event) is str or type(event) is bytes:
                if self._sink is not None:
                    self._sink.received(event)
            else:
                self._control(event)
            if self._reader is None:
                return
        if (reader.more or len(data) >= LARGE_READ) and not self._resting:
            self._rest()

    def _control(self, event: object) -> None:
        if isinstance(event, Ping):
            self._transport.write(pong_frame(event.payload))
        elif isinstance(event, Close):
            self._peer_closes(event)
        elif isinstance(event, Violation):
            self.close(event.code, event.reason)
            self._tell_lost("protocol violation")

    def _peer_closes(self, event: Close) -> None:
        """Echo the code and drop the connection when all is written (sections 5.5.1, 7.1.1)."""
        self._reader = None
        self._transport.write(close_frame(event.code))
        self._transport.close()
        self.limit(self.close_timeout_s)
        self._tell_lost("transport close")

    def _rest(self) -> None:
        """Let the loop serve others, then go on with what is left of this client's input."""
        self._resting = True
        if not self._held:
            self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._rested)

    def _rested(self) -> None:
        self._resting = False
        if not self._held:
            self._go_on()

    def _go_on(self) -> None:
        if self._resting or self._transport.is_closing():
            return
        if self._reader is not None and self._reader.more:
            self.data_received(b"")
        if not (self._resting or self._held or self._transport.is_closing()):
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.writable(False)

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader = None
        self._closing_by = None
        self._forget(self)
        self._tell_lost("transport close" if exc is None else "transport error")

    def _tell_lost(self, reason: str) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.lost(reason)


class Probe:
    """The sink of a WebSocket that wants to take a polling session over."""

    __slots__ = ("_socket", "_websocket")

    def __init__(self, socket: Socket, websocket: WebSocket) -> None:
        self._socket = socket
        self._websocket = websocket

    def received(self, packet: Packet) -> None:
        self._socket.probe_received(packet)
        if self._socket.carrier is self._websocket:
            self._websocket.limit(None)
            self._websocket.attach(self._socket)

    def lost(self, reason: str) -> None:
        self._socket.probe_lost()

    def writable(self, writable: bool) -> None:
        pass
