"""The hub as compose builds it: one engine, the wire contract on `/`, and the Outlet for the rest.

hub = Hub(config, authenticate=accounts.authenticate)      # inside the event loop
hub.mount(chat_events); hub.observe(chat_observer)         # hub.outlet goes to the parts
acceptor = Acceptor(hub.engine, ...)                       # server.hub.transport
await hub.start() ... await hub.drain(); await hub.close()
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from server.hub.audience import Audience
from server.hub.contract import Contract
from server.hub.dispatch import Dispatcher
from server.hub.engineio.api import Options
from server.hub.engineio.engine import Engine
from server.hub.fanout import Fanout, packet_of
from server.hub.lag import LagMeter
from server.hub.login import Authenticate, Login
from server.hub.metrics import HubMetrics
from server.hub.namespaces import HubServer
from server.hub.outbox import Outbox
from server.hub.session import Session, State
from server.kernel.clock import Clock, System
from server.kernel.config import Config
from server.kernel.events import BoundEvent, Context
from server.kernel.ids import SessionId
from server.kernel.logs import get_logger
from server.kernel.outlet import SocketObserver
from server.kernel.tasks import TaskOwner
from storage.api import SharedLimits

log = get_logger(__name__)

DRAIN_STEP_S = 0.05
ACKS_S = 3.0
"""How long a socket may stay for the answers to what it sent before the drain."""
SLOW = "slow"


class Outgoing(Fanout):
    """`server.kernel.outlet.Outlet`, whole: fan-out, and the end of logins."""

    login: Login
    sessions: Audience

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        self.login.ended(session_ids)
        for session_id in session_ids:
            for session in self.sessions.by_login(session_id):
                self.end(session, reason)

    def end(self, session: Session, reason: str) -> None:
        """`session:ended {reason}`, then the socket closes."""
        if session.state == State.LIVE:
            if reason != SLOW and session.user_id is not None:
                self._flush_for(session.user_id)
            session.socket.send_encoded(packet_of("session:ended", {"reason": reason}).encoded)
        session.socket.close(1000, reason)


class Hub:
    """See the module. `outlet`, `engine`, `metrics` and `server` are for compose."""

    def __init__(
        self,
        config: Config,
        *,
        authenticate: Authenticate,
        events: Sequence[BoundEvent] = (),
        observers: Sequence[SocketObserver] = (),
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self.clock = clock or System()
        self._metrics = HubMetrics()
        self.audience = Audience()
        limits = config.limits
        outbox = Outbox(limits.outbox_bytes, self._cut, self._metrics)
        self.dispatcher = Dispatcher(
            limits, clock=self.clock, outbox=outbox, metrics=self._metrics, active=self._active
        )
        self._login = Login(
            limits, clock=self.clock, authenticate=authenticate, audience=self.audience,
            outbox=outbox, metrics=self._metrics,
        )  # fmt: skip
        contract = Contract(limits, dispatcher=self.dispatcher, login=self._login, outbox=outbox)
        self.server = HubServer(
            engine_options(config), outbox=outbox, metrics=self._metrics, clock=self.clock,
            contract=contract, gone=self._gone,
        )  # fmt: skip
        self.engine: Engine = self.server.eio.engine
        self.outlet = Outgoing(self.audience, outbox, self._metrics, merge_ms=config.hub.merge_ms)
        self.outlet.login = self._login
        self.outlet.sessions = self.audience
        self._lag = LagMeter(self._metrics)
        self.mount(events)
        for observer in observers:
            self.observe(observer)

    def mount(self, events: Sequence[BoundEvent]) -> None:
        """Serve these events too. Raises ValueError for a name that is taken."""
        self.dispatcher.mount(events)

    def observe(self, observer: SocketObserver) -> None:
        self._login.observers.append(observer)

    def share_limits(self, limits: SharedLimits, tasks: TaskOwner) -> None:
        """Users have one rate of sends and of connects over all nodes of the cluster."""
        self.dispatcher.share_limits(limits, tasks)
        self._login.shared = limits

    @property
    def metrics(self) -> HubMetrics:
        """Counted so far; what is queued is summed up now (0.3 us a socket)."""
        sockets = self.engine.sockets
        self._metrics.connections = len(self.audience)
        self._metrics.outbox_bytes = sum(one.buffered_bytes() for one in sockets.values())
        return self._metrics

    async def start(self) -> None:
        self._lag.start()

    async def drain(self, seconds: float | None = None) -> None:
        """Refuse new sockets and send the others away, spread over `seconds`
        (default: `server.drain_s`), so that not all of them come back in one instant. Answers under
        way are sent first.
        """
        over_s = self._config.server.drain_s if seconds is None else seconds
        self._login.draining = True
        self.engine.draining = True
        sockets = tuple(self.engine.sockets.values())
        steps = max(1, int(over_s / DRAIN_STEP_S))
        share = max(1, -(-len(sockets) // steps))
        waiting: list[Session] = []
        for first in range(0, len(sockets), share):
            going = [one.user for one in sockets[first : first + share]]
            waiting = self._send_away(waiting + [one for one in going if isinstance(one, Session)])
            await asyncio.sleep(DRAIN_STEP_S if over_s > 0 else 0)
        for _ in range(int(ACKS_S / DRAIN_STEP_S)):
            waiting = self._send_away(waiting)
            if not waiting:
                return
            await asyncio.sleep(DRAIN_STEP_S)
        for session in waiting:
            self.outlet.end(session, "shutdown")

    def _send_away(self, sessions: list[Session]) -> list[Session]:
        """Returns those that have to wait for an answer; nothing more is read from them."""
        waiting: list[Session] = []
        for session in sessions:
            if session.pending and not session.socket.closed:
                session.socket.pause()
                waiting.append(session)
            else:
                self.outlet.end(session, "shutdown")
        return waiting

    async def close(self) -> None:
        """End what is left, at once."""
        await self.drain(0)
        self.engine.close_all()
        self._lag.stop()
        self.dispatcher.close()
        await self.server.shutdown()

    # ---- what sockets bring ----------------------------------------------------------------------

    def _cut(self, session: Session) -> None:
        log.info("socket.cut", socket_id=session.socket_id, reason=SLOW)
        self.outlet.end(session, SLOW)

    def _active(self, ctx: Context) -> None:
        for observer in self._login.observers:
            observer.active(ctx)

    def _gone(self, session: Session, reason: str) -> None:
        was = session.state
        session.state = State.ENDED
        self.audience.remove(session)
        if session.ctx is None:
            return
        log.info("socket.closed", socket_id=session.socket_id, reason=reason)
        if was == State.LIVE:
            for observer in self._login.observers:
                observer.closed(session.ctx)


def engine_options(config: Config) -> Options:
    """The engine's rules as the configuration has them."""
    return Options(
        ping_interval_s=config.hub.ping_interval_s,
        ping_timeout_s=config.hub.ping_timeout_s,
        max_payload=config.limits.max_payload_bytes,
        unauthenticated_s=config.limits.unauthenticated_s,
        allowed_origins=config.server.allowed_origins,
    )
