"""From an EVENT packet to its acknowledgement: rate, shape, handler, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from server.hub.driven import Driven, drive
from server.hub.metrics import HubMetrics
from server.hub.outbox import Outbox, Packet
from server.hub.payload import RESERVED, Shape, read_arguments
from server.hub.session import ACTIVE_EVERY_S, Session, State
from server.hub.spending import Spending
from server.kernel.clock import Clock
from server.kernel.config import Limits
from server.kernel.errors import AppError, Internal, Invalid, NotFound, RateLimited
from server.kernel.events import BoundEvent, Context, EventHandler
from server.kernel.json import decode_strict, encode
from server.kernel.limits import Buckets
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import SharedLimits

log = get_logger(__name__)

PENDING_RETRY_S = 0.5
"""What a client with too many events in flight is told to wait: a few group commits."""


class Row:
    """One bound event, ready to run."""

    __slots__ = ("handler", "rate", "rate_name", "shape")

    def __init__(self, event: BoundEvent, rate: Buckets | None) -> None:
        self.rate_name = event.rate or ""
        self.shape = Shape(event.shape)
        self.handler: EventHandler = event.handler
        self.rate = rate


class Dispatcher:
    """The table of events and the way through it. `event` is called in the order received.

    Every event is acknowledged once, if the client asked for it. A handler's first step runs inside
    `event`; see `driven` for the rest.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Clock,
        outbox: Outbox,
        metrics: HubMetrics,
        active: Callable[[Context], None],
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._outbox = outbox
        self._metrics = metrics
        self._active = active
        self._rows: dict[str, Row] = {}
        self._running: set[Driven] = set()
        self._buckets = {"send": Buckets(limits.send_per_s, limits.send_burst)}
        self._spending: Spending | None = None

    def mount(self, events: Sequence[BoundEvent]) -> None:
        """Raises ValueError for a name twice, a reserved name or a rate that is not known."""
        for event in events:
            if event.name in self._rows or event.name in RESERVED:
                raise ValueError(f"event {event.name} is declared twice or reserved")
            if event.rate is not None and event.rate not in self._buckets:
                raise ValueError(f"event {event.name}: no rate is called {event.rate}")
            rate = self._buckets[event.rate] if event.rate is not None else None
            self._rows[event.name] = Row(event, rate)

    def share_limits(self, limits: SharedLimits, tasks: TaskOwner) -> None:
        """What users send here counts at other nodes too."""
        self._spending = Spending(limits, self._buckets, clock=self._clock, tasks=tasks)

    def __len__(self) -> int:
        """Handlers that wait for something."""
        return len(self._running)

    def close(self) -> None:
        for driven in tuple(self._running):
            driven.cancel()

    # ---- one event -------------------------------------------------------------------------------

    def event(self, session: Session, ack: str, name: str, raw: str) -> None:
        """`raw`: the JSON text after the name, unchecked; see `payload.Event`."""
        now = self._clock.monotonic()
        try:
            self._check_pace(session, now)
            row = self._rows.get(name)
            if row is None:
                if raw:
                    decode_strict(f"[{raw}]")
                raise _unknown(name)
            cmd = row.shape.decode(raw)
            self._check_rate(session, row, now)
        except AppError as refusal:
            self.refuse(session, ack, refusal)
            return
        self._run(session, ack, row, cmd, now)

    def odd_event(self, session: Session, ack: str, text: str) -> None:
        """An EVENT written in an unusual but valid way (an escaped name, say): `text` is its
        array.
        """
        now = self._clock.monotonic()
        try:
            self._check_pace(session, now)
            name, *arguments = read_arguments(text)
            row = self._rows.get(name)
            if row is None:
                raise _unknown(name)
            cmd = row.shape.convert(arguments[0] if len(arguments) == 1 else None)
            self._check_rate(session, row, now)
        except AppError as refusal:
            self.refuse(session, ack, refusal)
            return
        self._run(session, ack, row, cmd, now)

    def refuse(self, session: Session, ack: str, refusal: AppError) -> None:
        if ack:
            error = encode(refusal.to_wire())
            self._answer(session, b'3%b[{"ok":false,"error":%b}]' % (ack.encode(), error))

    # ---- steps -----------------------------------------------------------------------------------

    def _check_pace(self, session: Session, now: float) -> None:
        self._metrics.events += 1
        limits = self._limits
        wait = session.take_event(now, limits.event_per_s, limits.event_burst)
        if wait > 0:
            raise RateLimited("Too many events; please slow down.", retry_after_s=_seconds(wait))
        if 0 < limits.pending_per_socket <= session.pending:
            raise RateLimited("Too many events wait.", retry_after_s=PENDING_RETRY_S)

    def _check_rate(self, session: Session, row: Row, now: float) -> None:
        if row.rate is None or session.user_id is None:
            return
        wait = row.rate.take(session.user_id, now)
        if wait > 0:
            raise RateLimited("Too many messages; please wait.", retry_after_s=_seconds(wait))
        if self._spending is not None:
            self._spending.spent(row.rate_name, session.user_id)

    def _run(self, session: Session, ack: str, row: Row, cmd: Any, now: float) -> None:
        ctx = session.ctx
        assert ctx is not None
        if now - session.active_at >= ACTIVE_EVERY_S:
            session.active_at = now
            self._active(ctx)
        session.pending += 1
        driven: Driven | None = None

        def done(result: Any, failed: BaseException | None) -> None:
            session.pending -= 1
            if driven is not None:
                self._running.discard(driven)
            self._finish(session, ack, result, failed)
            self._metrics.ack_s.observe(self._clock.monotonic() - now)

        driven = self._start(row, ctx, cmd, done)

    def _start(
        self,
        row: Row,
        ctx: Context,
        cmd: Any,
        done: Callable[[Any, BaseException | None], None],
    ) -> Driven:
        driven = drive(row.handler(ctx, cmd), done, asyncio.get_running_loop())
        if driven.waiting:
            self._running.add(driven)
        return driven

    def _finish(
        self, session: Session, ack: str, result: Any, failed: BaseException | None
    ) -> None:
        if isinstance(failed, AppError):
            self.refuse(session, ack, failed)
            return
        try:
            if failed is not None:
                raise failed
            data = encode({} if result is None else result)
        except asyncio.CancelledError:
            return
        except Exception as fault:  # ours: told as `internal`, kept in the log
            self._report(session, fault)
            self.refuse(session, ack, Internal())
            return
        self._metrics.sends += 1
        if ack:
            self._answer(session, b'3%b[{"ok":true,"data":%b}]' % (ack.encode(), data))

    def _answer(self, session: Session, payload: bytes) -> None:
        if session.state == State.LIVE:
            self._outbox.write(session, Packet(payload))

    def _report(self, session: Session, fault: BaseException) -> None:
        self._metrics.internal_errors += 1
        if session.may_log(self._clock.monotonic()):
            log.error("event.failed", socket_id=session.socket_id, exc_info=fault)


def _unknown(name: str) -> AppError:
    if not name:
        return Invalid("The event has no name.")
    return NotFound("There is no such event.")


def _seconds(wait: float) -> float:
    return max(0.001, round(wait, 3))
