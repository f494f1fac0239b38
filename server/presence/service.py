"""The shell around presence: sockets come from the hub, settings from the store, news go to
watchers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from msgspec import UNSET, UnsetType

from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.events import Context
from server.kernel.ids import RoomId, SocketId, UserId
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from server.presence.shapes import PresenceEvent, PresenceView, SetPresence
from server.presence.state import (
    Active,
    Closed,
    Keep,
    Opened,
    Output,
    Presence,
    Set,
    Shown,
    Tell,
    Tick,
    shown_away,
)
from storage.api import PresenceRow, Store

TICK_S = 0.25

log = get_logger(__name__)


class PresenceService:
    """Implements `SocketObserver`. `start` begins the watch on time, `close` keeps last-seens."""

    def __init__(
        self, store: Store, outlet: Outlet, *, clock: Clock, config: Config, tasks: TaskOwner
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._clock = clock
        self._tasks = tasks
        self._core = Presence(
            away_after_s=config.presence.away_after_s,
            offline_after_s=config.presence.offline_after_s,
        )
        self._open: dict[SocketId, Context] = {}
        self._watched: dict[SocketId, frozenset[UserId]] = {}
        self._watchers: dict[UserId, set[SocketId]] = {}

    # ---- what clients ask ------------------------------------------------------------------------

    async def set(self, ctx: Context, cmd: SetPresence) -> None:
        row = self._core.row(ctx.user_id) or await self._stored(ctx.user_id)
        now_ms = self._clock.now_ms()
        seen = row.last_seen_at
        if cmd.status == "invisible" and row.status != "invisible":
            seen = now_ms  # from here on he looks as if he had gone
        text = None if isinstance(cmd.text, UnsetType) or not cmd.text else cmd.text
        row = PresenceRow(ctx.user_id, cmd.status, text, seen)
        await self._store.accounts.put_presence(row)
        self._do(self._core.handle(Set(ctx.user_id, row), self._clock.monotonic()))

    async def watch(self, ctx: Context, user_ids: Collection[UserId]) -> dict[UserId, PresenceView]:
        """Watch these instead of those before; strangers are left out."""
        asked = frozenset(user_ids)
        known = await self._store.projections.shares_room(ctx.user_id, asked)
        known |= asked & {ctx.user_id}
        rows = await self._store.accounts.presence(known)
        if ctx.socket_id in self._open:
            self._unwatch(ctx.socket_id)
            self._watched[ctx.socket_id] = frozenset(known)
            for user_id in known:
                self._watchers.setdefault(user_id, set()).add(ctx.socket_id)
        now = self._clock.monotonic()
        return {
            user_id: _view(
                self._core.shown(user_id, now)
                or shown_away(rows.get(user_id) or PresenceRow(user_id))
            )
            for user_id in sorted(known)
        }

    # ---- sockets (SocketObserver) ----------------------------------------------------------------

    async def rooms_of(self, ctx: Context) -> Collection[RoomId]:
        return ()

    def opened(self, ctx: Context) -> None:
        self._open[ctx.socket_id] = ctx
        row = self._core.row(ctx.user_id)
        if row is not None:
            self._enter(ctx, row)
        else:
            self._tasks.start(self._load(ctx), "presence_load")

    def active(self, ctx: Context) -> None:
        now = self._clock.monotonic()
        self._do(self._core.handle(Active(ctx.user_id, ctx.socket_id), now))

    def closed(self, ctx: Context) -> None:
        self._open.pop(ctx.socket_id, None)
        self._unwatch(ctx.socket_id)
        event = Closed(ctx.user_id, ctx.socket_id, self._clock.now_ms())
        self._do(self._core.handle(event, self._clock.monotonic()))

    # ---- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._tasks.start(self._run(), "presence")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Do what is due now."""
        now = self._clock.monotonic()
        due = self._core.next_deadline()
        if due is not None and due <= now:
            self._do(self._core.handle(Tick(), now))

    async def close(self) -> None:
        """Remember when those were seen who are or were just connected."""
        for row in self._core.rows(self._clock.now_ms()):
            await self._keep(row)

    # ---- inside ----------------------------------------------------------------------------------

    async def _load(self, ctx: Context) -> None:
        row = await self._stored(ctx.user_id)
        if ctx.socket_id in self._open:
            self._enter(ctx, row)

    def _enter(self, ctx: Context, row: PresenceRow) -> None:
        event = Opened(ctx.user_id, ctx.device_id, ctx.socket_id, row)
        self._do(self._core.handle(event, self._clock.monotonic()))

    async def _stored(self, user_id: UserId) -> PresenceRow:
        try:
            rows = await self._store.accounts.presence([user_id])
        except Unavailable:
            log.warning("presence.not_loaded", user_id=user_id)
            return PresenceRow(user_id)
        return rows.get(user_id) or PresenceRow(user_id)

    def _do(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Keep):
                self._tasks.start(self._keep(output.row), "presence_keep")
            else:
                self._tell(output)

    def _tell(self, news: Tell) -> None:
        sockets = self._watchers.get(news.user_id)
        if not sockets:
            return
        shown = _view(news.shown)
        payload = PresenceEvent(news.user_id, shown.status, shown.text, shown.last_seen_at)
        for socket_id in sockets:
            self._outlet.to_socket(socket_id, "presence:changed", payload, ephemeral=True)

    async def _keep(self, row: PresenceRow) -> None:
        try:
            await self._store.accounts.put_presence(row)
        except Unavailable:
            log.warning("presence.not_kept", user_id=row.user_id)

    def _unwatch(self, socket_id: SocketId) -> None:
        for user_id in self._watched.pop(socket_id, frozenset()):
            sockets = self._watchers[user_id]
            sockets.discard(socket_id)
            if not sockets:
                del self._watchers[user_id]


def _view(shown: Shown) -> PresenceView:
    return PresenceView(
        shown.status,
        UNSET if shown.text is None else shown.text,
        UNSET if shown.last_seen_at is None else shown.last_seen_at,
    )
