"""One Engine.IO session as a state machine: it awaits nothing, reads no clock and owns no socket.

Source: https://socket.io/docs/v4/engine-io-protocol/, "Protocol", "Heartbeat" and "Upgrade".
"""

from __future__ import annotations

from dataclasses import dataclass

from server.hub.engineio.api import Options
from server.hub.engineio.packets import (
    CLOSE,
    MESSAGE,
    NOOP,
    PING,
    PONG,
    PROBE_PING,
    PROBE_PONG,
    UPGRADE,
    Packet,
)


@dataclass(frozen=True, slots=True)
class Received:
    """A packet came over the session's transport."""

    packet: Packet


@dataclass(frozen=True, slots=True)
class ProbeReceived:
    """A packet came over a WebSocket that wants to take over from polling."""

    packet: Packet


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message for the layer above."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Send:
    """A packet for the session's transport."""

    packet: str


@dataclass(frozen=True, slots=True)
class AnswerProbe:
    """A packet for the probing WebSocket; a waiting poll is let go, so that the client pauses."""

    packet: str


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The probing WebSocket is the transport now; what is queued goes out over it."""


@dataclass(frozen=True, slots=True)
class DropProbe:
    """The probing WebSocket broke the rules; the session goes on over polling."""


@dataclass(frozen=True, slots=True)
class End:
    """The session is over. `farewell` answers a waiting poll, `code` closes a WebSocket."""

    reason: str
    farewell: str = CLOSE
    code: int = 1000


Input = Received | ProbeReceived
Output = Deliver | Send | AnswerProbe | TakeOver | DropProbe | End

COARSENESS_S = 0.05
"""A tick may come this much late without counting from then."""


class Session:
    """Heartbeat, upgrade and end of one session. `now` is monotonic seconds.

    A client lives while it answers each ping within `ping_timeout_s`. Nothing that it sends raises.
    """

    __slots__ = ("_admit_by", "_deadline", "_options", "_probed", "_waits_for_pong", "over")

    def __init__(self, options: Options, now: float) -> None:
        self._options = options
        self._deadline = now + options.ping_interval_s
        self._waits_for_pong = False
        self._probed = False
        self._admit_by = now + options.unauthenticated_s if options.unauthenticated_s > 0 else None
        self.over = False

    def handle(self, happened: Input, now: float) -> list[Output]:
        """What a packet leads to."""
        if self.over:
            return []
        if isinstance(happened, ProbeReceived):
            return self._probe(happened.packet)
        return self._packet(happened.packet, now)

    def tick(self, now: float) -> list[Output]:
        """What the passing of time leads to; call it at `next_deadline`."""
        if self.over:
            return []
        if self._admit_by is not None and now >= self._admit_by:
            return self._end("unauthenticated")
        if now < self._deadline:
            return []
        if self._waits_for_pong:
            return self._end("ping timeout")
        self._waits_for_pong = True
        # A timer's own coarseness is not the client's time; a stall of ours is given to him.
        asked_at = self._deadline if now - self._deadline < COARSENESS_S else now
        self._deadline = asked_at + self._options.ping_timeout_s
        return [Send(PING)]

    def next_deadline(self) -> float | None:
        if self.over:
            return None
        if self._admit_by is not None:
            return min(self._admit_by, self._deadline)
        return self._deadline

    def admit(self) -> None:
        """The layer above knows who this is."""
        self._admit_by = None

    def _packet(self, packet: Packet, now: float) -> list[Output]:
        if isinstance(packet, bytes):
            return [Deliver(packet)]
        kind = packet[:1]
        if kind == MESSAGE:
            return [Deliver(packet[1:])]
        if packet == PONG:
            return self._pong(now)
        if packet == CLOSE:
            return self._end("client close", farewell=NOOP)
        if packet == NOOP:
            return []
        return self._end("invalid packet", code=1002)

    def _pong(self, now: float) -> list[Output]:
        """A pong nobody asked for changes nothing."""
        if self._waits_for_pong:
            self._waits_for_pong = False
            self._deadline = now + self._options.ping_interval_s
        return []

    def _probe(self, packet: Packet) -> list[Output]:
        if packet == PROBE_PING and not self._probed:
            self._probed = True
            return [AnswerProbe(PROBE_PONG)]
        if packet == UPGRADE and self._probed:
            self._probed = False
            return [TakeOver()]
        self._probed = False
        return [DropProbe()]

    def probe_lost(self) -> None:
        self._probed = False

    @property
    def probed(self) -> bool:
        """A WebSocket may take over at any moment: polls are answered at once."""
        return self._probed

    def _end(self, reason: str, *, farewell: str = CLOSE, code: int = 1000) -> list[Output]:
        self.over = True
        return [End(reason, farewell, code)]
