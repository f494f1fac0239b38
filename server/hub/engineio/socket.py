"""A session as the layer above holds it: carries out what the state machine decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from server.hub.engineio.api import Encoded, Handlers
from server.hub.engineio.packets import CLOSE, MESSAGE, Packet
from server.hub.engineio.session import (
    AnswerProbe,
    Deliver,
    DropProbe,
    End,
    Output,
    ProbeReceived,
    Received,
    Send,
    Session,
    TakeOver,
)

if TYPE_CHECKING:
    from server.hub.engineio.engine import Engine


class Carrier(Protocol):
    """What carries a session's packets: a WebSocket, or polling requests."""

    @property
    def name(self) -> str: ...

    @property
    def raw_write(self) -> Callable[[bytes], None] | None:
        """Writes encoded frames; None where there are none."""
        ...

    def send(self, packet: Packet) -> None: ...

    def buffered_bytes(self) -> int: ...

    def take(self) -> Iterable[Packet]:
        """Give up what is queued and not yet sent (it goes on over another carrier)."""
        ...

    def release(self, packet: str) -> None:
        """Answer a waiting poll with `packet`, if nothing else is queued."""
        ...

    def close(self, code: int, reason: str, farewell: str) -> None: ...

    def abort(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Socket:
    """One client. All methods are plain calls on the loop's thread. See `api.py`."""

    __slots__ = (
        "_carrier",
        "_engine",
        "_handlers",
        "_probe",
        "_session",
        "closed",
        "congested",
        "peer",
        "raw_write",
        "scheduled",
        "sid",
        "user",
    )

    def __init__(
        self, engine: Engine, carrier: Carrier, session: Session, *, sid: str, peer: str
    ) -> None:
        self.sid = sid
        self.peer = peer
        self.user: Any = None
        self.closed = False
        self.congested = False
        self.scheduled = 0
        self.raw_write: Callable[[bytes], None] | None = carrier.raw_write
        self._engine = engine
        self._handlers: Handlers = engine.handlers
        self._carrier = carrier
        self._session = session
        self._probe: Carrier | None = None

    # ---- for the layer above ---------------------------------------------------------------------

    @property
    def transport_name(self) -> str:
        return self._carrier.name

    def send(self, text: str) -> None:
        self.send_packet(MESSAGE + text)

    def send_binary(self, data: bytes) -> None:
        self.send_packet(data)

    def send_encoded(self, encoded: Encoded) -> None:
        if self.raw_write is not None:
            self.raw_write(encoded.frame)
        else:
            self.send_packet(encoded.packet)

    def write_frames(self, frames: bytes, count: int) -> None:
        """`count` is what the caller knows anyway; kept for carriers that count."""
        if self.raw_write is not None:
            self.raw_write(frames)

    def buffered_bytes(self) -> int:
        return self._carrier.buffered_bytes()

    def pause(self) -> None:
        self._carrier.pause()

    def resume(self) -> None:
        self._carrier.resume()

    def admit(self) -> None:
        self._session.admit()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The reason (at most 123 bytes of UTF-8) travels in the WebSocket's close frame."""
        if not self.closed:
            if self.raw_write is not None:
                self._carrier.send(CLOSE)
            self._ends(End(reason or "server close", CLOSE, code), reason)

    def abort(self) -> None:
        if not self.closed:
            self._finish("aborted")
            self._carrier.abort()

    # ---- for carriers ----------------------------------------------------------------------------

    def received(self, packet: Packet) -> None:
        """A packet from the session's carrier. Messages, nearly all, take the short way."""
        if self.closed:
            return
        if type(packet) is str and packet[:1] == "4":
            self._handlers.on_message(self, packet[1:])
        else:
            now = self._engine.timer.time()
            self._carry_out(self._session.handle(Received(packet), now))
            if not self.closed:
                self._engine.timer.watch(self)

    def lost(self, reason: str) -> None:
        """The carrier is gone."""
        if not self.closed:
            self._finish(reason)

    def fault(self, reason: str, code: int = 1002) -> None:
        """The client broke the rules of its transport."""
        if not self.closed:
            self._ends(End(reason, CLOSE, code), reason)

    def writable(self, writable: bool) -> None:
        self.congested = not writable
        if writable and not self.closed:
            self._handlers.on_drain(self)

    def send_packet(self, packet: Packet) -> None:
        if self.closed:
            return
        self._carrier.send(packet)
        if self.congested or self.raw_write is None:
            self._engine.check_buffer(self)

    # ---- upgrade ---------------------------------------------------------------------------------

    def offer_probe(self, probe: Carrier) -> bool:
        """A WebSocket asks to take over; only one at a time may, and only from polling."""
        if self.closed or self._probe is not None or self.raw_write is not None:
            return False
        self._probe = probe
        return True

    def probe_received(self, packet: Packet) -> None:
        happened = ProbeReceived(packet)
        self._carry_out(self._session.handle(happened, self._engine.timer.time()))

    def probe_lost(self) -> None:
        self._probe = None
        self._session.probe_lost()

    @property
    def upgrading(self) -> bool:
        return self._session.probed

    def _take_over(self) -> None:
        old, new = self._carrier, self._probe
        assert new is not None
        self._carrier, self._probe = new, None
        for packet in old.take():
            new.send(packet)
        old.release("6")
        self.raw_write = new.raw_write
        self.congested = False

    @property
    def carrier(self) -> Carrier:
        return self._carrier

    # ---- deadlines -------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        return self._session.next_deadline()

    def tick(self, now: float) -> None:
        self._carry_out(self._session.tick(now))

    # ---- carrying out ----------------------------------------------------------------------------

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Deliver(data):
                    self._handlers.on_message(self, data)
                case Send(packet):
                    self.send_packet(packet)
                case AnswerProbe(packet) if self._probe is not None:
                    self._probe.send(packet)
                    self._carrier.release("6")
                case TakeOver() if self._probe is not None:
                    self._take_over()
                case DropProbe() if self._probe is not None:
                    self._probe.close(1002, "upgrade expected", "")
                    self.probe_lost()
                case End():
                    self._ends(output, output.reason)

    def _ends(self, end: End, reason: str) -> None:
        self._finish(end.reason)
        self._carrier.close(end.code, reason, end.farewell)

    def _finish(self, reason: str) -> None:
        self.closed = True
        self.raw_write = None
        self._session.over = True
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.close(1000, "session closed", "")
        self._engine.forget(self)
        self._handlers.on_close(self, reason)
