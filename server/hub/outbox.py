"""The bound on what waits for one socket: ephemeral events go first, then the socket itself."""

from __future__ import annotations

from collections.abc import Callable

from server.hub.engineio.api import Encoded, ws_text_frame
from server.hub.metrics import HubMetrics
from server.hub.session import Session, State

_MESSAGE = b"4"


class Packet:
    """One Socket.IO packet for any number of sockets, encoded once, down to the WebSocket frame."""

    __slots__ = ("_encoded", "ephemeral", "frame", "payload")

    def __init__(self, payload: bytes, *, ephemeral: bool = False) -> None:
        self.payload = payload
        self.frame = ws_text_frame(_MESSAGE + payload)
        self.ephemeral = ephemeral
        self._encoded: Encoded | None = None

    @property
    def encoded(self) -> Encoded:
        """For sockets that take no frames (long-polling)."""
        if self._encoded is None:
            self._encoded = Encoded(self.payload.decode())
        return self._encoded


class Outbox:
    """Writes to sockets within `limit_bytes` each, counting what the transport has buffered.

    A socket whose transport takes everything costs one attribute more than a bare write. Half of
    the bound is for ephemeral packets; one that does not fit is dropped. Another packet that does
    not fit ends the socket: `cut(session)`, and nothing more is queued for it.
    """

    def __init__(
        self, limit_bytes: int, cut: Callable[[Session], None], metrics: HubMetrics
    ) -> None:
        self._limit = limit_bytes
        self._cut = cut
        self._metrics = metrics

    def write(self, session: Session, packet: Packet) -> None:
        socket = session.socket
        write = socket.raw_write
        if write is not None and not socket.congested:
            write(packet.frame)
            return
        self.write_carefully(session, packet)

    def write_carefully(self, session: Session, packet: Packet) -> None:
        """The long way: the socket is slow, or long-polling."""
        if session.state == State.ENDED:
            return
        if not self.admits(session, len(packet.frame), ephemeral=packet.ephemeral):
            return
        socket = session.socket
        write = socket.raw_write
        if write is not None:
            write(packet.frame)
        else:
            socket.send_encoded(packet.encoded)

    def admits(self, session: Session, size: int, *, ephemeral: bool = False) -> bool:
        """Whether `size` bytes more may be queued; a False has dropped them or cut the socket."""
        wanted = session.socket.buffered_bytes() + size
        if ephemeral:
            if wanted <= self._limit // 2:
                return True
            self._metrics.ephemeral_dropped += 1
            return False
        if wanted <= self._limit:
            return True
        if not session.socket.closed:
            self._metrics.slow_closed += 1
            self._cut(session)
        return False
