"""Calls of one process: the media process where it is this one's to have, and signaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.chat.wiring import Chat
from server.compose.calls import ChatCallLog, ChatRooms, LeavingOutlet
from server.compose.cluster import ClusterPart
from server.compose.ice import AllUrls
from server.compose.media import MediaPart, is_installed, plane_settings
from server.compose.tickets import KnownTickets
from server.http.metrics import MetricSource
from server.hub.hub import Hub
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.events import BoundRoute
from server.kernel.ids import Ids, NodeId
from server.kernel.logs import Secret, get_logger
from server.kernel.tasks import TaskOwner
from signaling.quality import wiring as quality_wiring
from signaling.quality.wiring import QualityLimits, QualityPart
from signaling.rules import CallLimits
from signaling.wiring import FEATURE, CallRelay, CallsPart, build, turn_secret
from storage.api import Node, Store

log = get_logger(__name__)


def features(config: Config) -> tuple[str, ...]:
    """What `GET /api/v1/server` announces of calls."""
    return (FEATURE, quality_wiring.FEATURE) if config.media.enabled else ()


class Calling:
    """`await start` once chat is there; `media` is None where another process has it."""

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        clock: Clock,
        ids: Ids,
        tasks: TaskOwner,
        leads: Callable[[], bool],
    ) -> None:
        """`leads`: whether this one of all nodes clears up."""
        self.config = config
        self.media: MediaPart | None = None
        self.calls: CallsPart | None = None
        self.quality: QualityPart | None = None
        self._store = store
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._leads = leads

    async def start(
        self, chat: Chat, hub: Hub, leaving: LeavingOutlet, *, cluster: ClusterPart | None,
        with_media: bool,
    ) -> None:  # fmt: skip
        """`with_media`: of several processes on a machine one has the media port. Raises
        Unavailable.
        """
        config = self.config
        given = config.media.ice_secret
        secret = Secret(given) if given else await turn_secret(self._store)
        if with_media and config.has_role("media"):
            self._start_media(secret, cluster)
        if config.has_role("hub"):
            await self._start_calls(chat, hub, leaving, cluster, secret)
        self._start_quality(chat)

    async def _start_calls(
        self, chat: Chat, hub: Hub, leaving: LeavingOutlet, cluster: ClusterPart | None,
        secret: Secret,
    ) -> None:  # fmt: skip
        config = self.config
        others = cluster.watch.others if cluster is not None else _nobody
        urls = AllUrls(self.media, config.media.ice_urls, others)
        relay = self._relay(cluster, hub) if cluster is not None else None
        outlet = hub.outlet if cluster is None else cluster.relay.wide
        call_log = quality_wiring.keep_ends(ChatCallLog(chat), self._store, self._clock)
        self.calls = leaving.calls = await build(
            self._store, rooms=ChatRooms(chat), call_log=call_log, outlet=outlet,
            urls=urls, clock=self._clock, ids=self._ids, tasks=self._tasks,
            limits=_limits(config), plane=self.media, relay=relay, secret=secret,
            node_id=NodeId("") if cluster is None else cluster.node_id,
            issued=None if self.media is None else KnownTickets(self.media).issued,
        )  # fmt: skip
        if cluster is not None and relay is not None:
            watch = cluster.watch
            watch.on_change(lambda _: relay.nodes_changed(tuple(watch.of_role("hub"))))

    def _start_quality(self, chat: Chat) -> None:
        self.quality = quality_wiring.build(
            self._store,
            carried=None if self.calls is None else self.calls.exchange.core,
            rooms=ChatRooms(chat), clock=self._clock, tasks=self._tasks, leads=self._leads,
            kept_days=self.config.log.retention_days, limits=_quality_limits(self.config),
        )  # fmt: skip

    async def close(self) -> None:
        """Calls go on: with the next process, and meanwhile between the two themselves."""
        if self.calls is not None:
            await self.calls.close()
        if self.media is not None:
            await self.media.close()

    @property
    def is_installed(self) -> bool:
        return is_installed()

    @property
    def numbers(self) -> Sequence[MetricSource]:
        parts = (self.calls, self.quality, self.media)
        return [part for part in parts if part is not None]

    @property
    def routes(self) -> Sequence[BoundRoute]:
        return () if self.quality is None else self.quality.routes

    def _start_media(self, secret: Secret, cluster: ClusterPart | None) -> None:
        if not is_installed():
            log.warning("media.not_installed", extra="calls")
            return
        settings = plane_settings(self.config, secret, self.config.server.port)
        self.media = media = MediaPart(self.config, settings, tasks=self._tasks)
        if cluster is not None:
            media.on_ready.append(lambda: cluster.watch.says(ice_urls=media.urls))
        media.start()

    def _relay(self, cluster: ClusterPart, hub: Hub) -> CallRelay:
        watch = cluster.watch
        return CallRelay(
            cluster.calls_port, self._store.calls, node_id=cluster.node_id,
            alive=lambda: watch.of_role("hub"), hub=hub.outlet, clock=self._clock,
            tasks=self._tasks,
        )  # fmt: skip


def _quality_limits(config: Config) -> QualityLimits:
    limits = config.limits
    return QualityLimits(limits.call_quality_per_s, limits.call_quality_burst)


def _limits(config: Config) -> CallLimits:
    limits = config.limits
    return CallLimits(
        participants=limits.call_participants, calls=limits.calls,
        calls_per_user=limits.calls_per_user,
        starts_per_s=limits.call_start_per_s, starts_burst=limits.call_start_burst,
        signals_per_s=limits.call_signal_per_s, signals_burst=limits.call_signal_burst,
        changes_per_s=limits.call_change_per_s, changes_burst=limits.call_change_burst,
    )  # fmt: skip


def _nobody() -> Sequence[Node]:
    return ()
