"""CONNECT: whose socket this is, his rooms, and the moment from which it gets their events."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from server.hub.audience import Audience, Present
from server.hub.metrics import HubMetrics
from server.hub.outbox import Outbox, Packet
from server.hub.session import Session, State
from server.kernel.clock import Clock
from server.kernel.config import Limits
from server.kernel.errors import AppError, RateLimited, Unauthorized, Unavailable
from server.kernel.events import Context
from server.kernel.ids import RoomId, SessionId, SocketId, UserId
from server.kernel.json import encode
from server.kernel.limits import Buckets
from server.kernel.logs import get_logger
from server.kernel.outlet import SocketObserver
from server.kernel.peer import limit_key
from storage.api import SharedLimits, Spend

log = get_logger(__name__)

Authenticate = Callable[[str], Awaitable[Context] | Context]

ENDED_KEPT_S = 60.0
"""A login that ended is refused for this long whatever an authentication begun before says."""

MAX_ENDED = 100_000
_SOCKET_ID_BYTES = 15


class Login:
    """Carries a socket from OPEN to LIVE. `connect` raises AppError for what CONNECT_ERROR tells.

    `observers` may grow until the first socket comes. `shared` may be set: the buckets of the whole
    cluster. Without them, and while they are away, this node's own count alone.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Clock,
        authenticate: Authenticate,
        audience: Audience,
        outbox: Outbox,
        metrics: HubMetrics,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._authenticate = authenticate
        self._audience = audience
        self._outbox = outbox
        self._metrics = metrics
        self.shared: SharedLimits | None = None
        self.observers: list[SocketObserver] = []
        self.draining = False
        self._addresses = Buckets(limits.connect_address_per_s, limits.connect_address_per_s)
        self._users = Buckets(limits.connect_per_s, limits.connect_per_s)
        self._loading: dict[UserId, asyncio.Future[None]] = {}
        self._ended: dict[SessionId, float] = {}

    async def connect(self, session: Session, token: str) -> None:
        """Raises AppError; the socket is then as before."""
        try:
            await self._connect(session, token)
        except AppError:
            self._metrics.connects_refused += 1
            if session.ctx is not None:
                self._audience.remove(session)
                session.ctx = session.user_id = None
            raise

    def ended(self, session_ids: Iterable[SessionId]) -> None:
        """These logins are over: whoever is being authenticated with one is refused."""
        until = self._clock.monotonic() + ENDED_KEPT_S
        for session_id in session_ids:
            self._ended.pop(session_id, None)
            self._ended[session_id] = until
            if len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    # ---- steps -----------------------------------------------------------------------------------

    async def _connect(self, session: Session, token: str) -> None:
        if self.draining:
            raise Unavailable("The server is shutting down.", retry_after_s=1.0)
        self._check_pace(self._addresses, limit_key(session.socket.peer))
        answer = self._authenticate(token) if token else _nobody()
        ctx = answer if isinstance(answer, Context) else await answer
        if self._ended.get(ctx.session_id, 0.0) > self._clock.monotonic():
            raise Unauthorized("This session has ended; please log in.")
        self._check_pace(self._users, ctx.user_id)
        if self.shared is not None:
            await self._check_paces(self.shared, limit_key(session.socket.peer), ctx.user_id)
        self._check_count(ctx.user_id)
        if session.state != State.CONNECTING:
            return
        socket_id = SocketId(secrets.token_urlsafe(_SOCKET_ID_BYTES))
        session.ctx = msgspec.structs.replace(ctx, socket_id=socket_id)
        session.user_id = ctx.user_id
        self._audience.named(session)
        await self._expect(session, ctx.user_id)

    async def _expect(self, session: Session, user_id: UserId) -> None:
        present = self._audience.expect(user_id)
        try:
            if present.rooms is None:
                await self._load(session, user_id, present)
            if session.state == State.CONNECTING:
                self._welcome(session)
        finally:
            self._audience.came(user_id)

    async def _load(self, session: Session, user_id: UserId, present: Present) -> None:
        """The user's rooms, asked for once however many of his sockets connect."""
        running = self._loading.get(user_id)
        if running is not None:
            await running
            return
        done = self._loading[user_id] = asyncio.get_running_loop().create_future()
        assert session.ctx is not None
        try:
            rooms: list[RoomId] = []
            for observer in self.observers:
                rooms.extend(await observer.rooms_of(session.ctx))
            self._audience.loaded(present, rooms)
        except BaseException as fault:
            failed = fault if isinstance(fault, AppError) else Unavailable("Please try again.")
            done.set_exception(failed)
            done.exception()  # somebody has looked: nobody else may be waiting
            raise
        else:
            done.set_result(None)
        finally:
            del self._loading[user_id]

    def _welcome(self, session: Session) -> None:
        ctx = session.ctx
        assert ctx is not None
        session.state = State.LIVE
        session.socket.admit()
        self._outbox.write(session, Packet(b"0" + encode({"sid": ctx.socket_id})))
        self._audience.add(session)
        self._metrics.connects += 1
        log.info("socket.opened", socket_id=ctx.socket_id, user_id=ctx.user_id)
        for observer in self.observers:
            observer.opened(ctx)

    def _check_pace(self, buckets: Buckets, key: str) -> None:
        _refuse(buckets.take(key, self._clock.monotonic()))

    async def _check_paces(self, shared: SharedLimits, address: str, user_id: UserId) -> None:
        both = ((self._addresses, f"connect-from:{address}"), (self._users, f"connect:{user_id}"))
        try:
            waits = await asyncio.gather(
                *(
                    shared.take(Spend(key, buckets.rate_per_s, buckets.burst))
                    for buckets, key in both
                    if buckets.rate_per_s > 0
                )
            )
        except Unavailable:
            return
        _refuse(max(waits, default=0.0))

    def _check_count(self, user_id: UserId) -> None:
        most = self._limits.sockets_per_user
        present = self._audience.users.get(user_id)
        if present is not None and 0 < most <= len(present.sessions) + present.expected:
            raise RateLimited("Too many open connections.", retry_after_s=30.0)


def _refuse(wait: float) -> None:
    if wait > 0:
        text = "Too many connections; please wait."
        raise RateLimited(text, retry_after_s=max(0.001, round(wait, 3)))


def _nobody() -> Context:
    raise Unauthorized("Please log in.")
