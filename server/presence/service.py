"""The shell around presence: sockets come from the hub, settings from the store, news go to
watchers and, in a cluster, to other nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from msgspec import UNSET, UnsetType

from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.events import Context
from server.kernel.ids import NodeId, RoomId, SocketId, UserId
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from server.presence.neighbours import Neighbours
from server.presence.shapes import PresenceEvent, PresenceView, SetPresence
from server.presence.signals import (
    Active,
    Closed,
    Dropped,
    Input,
    Keep,
    Opened,
    Output,
    Read,
    Say,
    Set,
    Shown,
    Tell,
    Tick,
    Unwatched,
    Watched,
)
from server.presence.state import Presence, shown_away
from server.presence.watchers import Watchers
from storage.api import Fanout, PresenceRow, SharedPresence, Store

TICK_S = 0.25
RECHECKS = 5
"""Sockets whose right to watch is looked at again in one tick, at most."""

log = get_logger(__name__)


class PresenceService:
    """Implements `SocketObserver`. `start` begins the watch on time, `close` keeps last-seens.

    Args:
        node_id: this node in its cluster; None: there is no other, `shared` and `fanout` neither.
    """

    def __init__(
        self,
        store: Store,
        outlet: Outlet,
        *,
        clock: Clock,
        config: Config,
        tasks: TaskOwner,
        node_id: NodeId | None = None,
        shared: SharedPresence | None = None,
        fanout: Fanout | None = None,
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._clock = clock
        self._tasks = tasks
        self._core = Presence(
            away_after_s=config.presence.away_after_s,
            offline_after_s=config.presence.offline_after_s,
            node_id=node_id,
        )
        self._open: dict[SocketId, Context] = {}
        self._watchers = Watchers()
        self._neighbours: Neighbours | None = None
        if node_id is not None and shared is not None and fanout is not None:
            self._neighbours = Neighbours(
                self._core, self._feed, self._watchers.__contains__,
                node_id=node_id, presence=shared, fanout=fanout, accounts=store.accounts,
                clock=clock, tasks=tasks, config=config.cluster,
            )  # fmt: skip

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
        self._feed(Set(ctx.user_id, row))
        if self._neighbours is not None:
            self._neighbours.settings_changed(ctx.user_id)

    async def watch(self, ctx: Context, user_ids: Collection[UserId]) -> dict[UserId, PresenceView]:
        """Watch these instead of those before; strangers are left out."""
        asked = frozenset(user_ids)
        known = await self._store.projections.shares_room(ctx.user_id, asked)
        known |= asked & {ctx.user_id}
        if self._neighbours is None:
            rows = await self._store.accounts.presence(known)
            self._watch(ctx, known)
        else:
            self._watch(ctx, known)
            await self._neighbours.learn([i for i in known if i in self._watchers])
            rows = await self._begin_to_watch(known)
        return {
            user_id: _view(
                self._core.told(user_id) or shown_away(rows.get(user_id) or PresenceRow(user_id))
            )
            for user_id in sorted(known)
        }

    async def _begin_to_watch(self, user_ids: Collection[UserId]) -> dict[UserId, PresenceRow]:
        """Also those of whom nobody could tell us yet: what will be heard of them is news."""
        unknown = [i for i in user_ids if i not in self._core]
        rows = await self._store.accounts.presence(unknown) if unknown else {}
        for user_id in user_ids:
            if user_id in self._watchers:
                row = self._core.row(user_id) or rows.get(user_id) or PresenceRow(user_id)
                self._feed(Watched(user_id, row, Read(user_id, {}, 0.0, whole=False)))
        return rows

    def _watch(self, ctx: Context, user_ids: Collection[UserId]) -> None:
        if ctx.socket_id not in self._open:
            return
        for user_id in self._watchers.put(ctx.socket_id, user_ids, self._clock.monotonic()):
            self._unwatched(user_id)

    async def _recheck(self, ctx: Context) -> None:
        """Who left the last room that they shared is watched no longer."""
        watched = self._watchers.by(ctx.socket_id)
        try:
            known = await self._store.projections.shares_room(ctx.user_id, watched)
        except Unavailable:
            return
        if self._watchers.by(ctx.socket_id) == watched:
            self._watch(ctx, watched & (known | {ctx.user_id}))

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
        self._feed(Active(ctx.user_id, ctx.socket_id))

    def closed(self, ctx: Context) -> None:
        self._open.pop(ctx.socket_id, None)
        for user_id in self._watchers.put(ctx.socket_id, (), self._clock.monotonic()):
            self._unwatched(user_id)
        self._feed(Closed(ctx.user_id, ctx.socket_id, self._clock.now_ms()))

    # ---- other nodes -----------------------------------------------------------------------------

    def nodes_changed(self, alive: Collection[NodeId]) -> None:
        """These nodes are alive, nobody else."""
        if self._neighbours is not None:
            self._neighbours.nodes_changed(alive)

    def forgotten(self) -> None:
        """The store that nodes share knows nothing of this one any more."""
        if self._neighbours is not None:
            self._neighbours.forgotten()

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
            self._feed(Tick())
        for socket_id in self._watchers.unchecked(now, RECHECKS):
            self._tasks.start(self._recheck(self._open[socket_id]), "presence_recheck")
        if self._neighbours is not None:
            self._neighbours.tick()

    async def close(self) -> None:
        """Remember when those were seen who are or were just connected."""
        if self._neighbours is not None:
            await self._neighbours.finish(self._clock.now_ms())
        for row in self._core.rows(self._clock.now_ms()):
            await self._keep(row)

    # ---- inside ----------------------------------------------------------------------------------

    async def _load(self, ctx: Context) -> None:
        row = await self._stored(ctx.user_id)
        if ctx.socket_id in self._open:
            self._enter(ctx, row)

    def _enter(self, ctx: Context, row: PresenceRow) -> None:
        self._feed(Opened(ctx.user_id, ctx.device_id, ctx.socket_id, row))
        if self._neighbours is not None:
            self._neighbours.want([ctx.user_id])

    async def _stored(self, user_id: UserId) -> PresenceRow:
        try:
            rows = await self._store.accounts.presence([user_id])
        except Unavailable:
            log.warning("presence.not_loaded", user_id=user_id)
            return PresenceRow(user_id)
        return rows.get(user_id) or PresenceRow(user_id)

    def _feed(self, event: Input) -> None:
        for output in self._core.handle(event, self._clock.monotonic()):
            self._do(output)

    def _do(self, output: Output) -> None:
        if isinstance(output, Tell):
            self._tell(output)
        elif isinstance(output, Keep):
            self._tasks.start(self._keep(output.row), "presence_keep")
        elif self._neighbours is None:
            return
        elif isinstance(output, Say):
            self._neighbours.say(output)
        elif isinstance(output, Dropped):
            self._neighbours.drop(output.user_id)

    def _unwatched(self, user_id: UserId) -> None:
        if self._neighbours is not None:
            self._feed(Unwatched(user_id))

    def _tell(self, news: Tell) -> None:
        sockets = self._watchers.of(news.user_id)
        if not sockets:
            return
        shown = _view(news.shown)
        payload = PresenceEvent(news.user_id, shown.status, shown.text, shown.last_seen_at)
        for socket_id in sockets:
            self._outlet.to_socket(socket_id, "presence:changed", payload, ephemeral=True)

    async def _keep(self, row: PresenceRow) -> None:
        try:
            if self._neighbours is None:
                await self._store.accounts.put_presence(row)
            else:
                await self._keep_beside_others(row)
        except Unavailable:
            log.warning("presence.not_kept", user_id=row.user_id)

    async def _keep_beside_others(self, row: PresenceRow) -> None:
        """Another node may have written since: his settings count, and when he was seen last."""
        assert self._neighbours is not None
        stored = (await self._store.accounts.presence([row.user_id])).get(row.user_id) or row
        seen = stored.last_seen_at
        if stored.status != "invisible":
            seen = max(seen or 0, row.last_seen_at or 0) or None
        stored = PresenceRow(row.user_id, stored.status, stored.text, seen)
        await self._store.accounts.put_presence(stored)
        self._neighbours.settings_changed(row.user_id)


def _view(shown: Shown) -> PresenceView:
    return PresenceView(
        shown.status,
        UNSET if shown.text is None else shown.text,
        UNSET if shown.last_seen_at is None else shown.last_seen_at,
    )
