"""One process's server: its parts made, started, and ended in the right order."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from server.accounts import wiring as accounts_wiring
from server.accounts.routes import routes as accounts_routes
from server.accounts.wiring import AccountsPart
from server.bus import wiring as bus_wiring
from server.chat.wiring import Chat
from server.chat.wiring import events as chat_events
from server.chat.wiring import routes as chat_routes
from server.compose.calling import Calling
from server.compose.calling import features as call_features
from server.compose.calls import LeavingOutlet
from server.compose.cluster import ClusterPart, new_node_id
from server.compose.facts import FactMaker
from server.compose.logouts import Logouts
from server.compose.revoking import Revoking
from server.compose.stores import open_bus, open_files, open_shared, open_store
from server.files.orphans import OrphanSweep
from server.http.app import make_app, runner_options
from server.http.metrics import Counts, MetricSource
from server.http.underway import Underway
from server.hub.hub import Hub
from server.hub.transport.acceptor import Acceptor, HeadLimits
from server.hub.transport.handover import READ_MAX, Handover
from server.hub.transport.polling import add_polling
from server.kernel.clock import Clock, System
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.ids import Ids, RandomIds, SessionId
from server.kernel.logs import get_logger
from server.kernel.peer import TrustedProxies
from server.kernel.tasks import TaskOwner
from server.presence import wiring as presence_wiring
from storage.api import Check, Fanout, Store

log = get_logger(__name__)
OpenStore = Callable[[Config], Awaitable[Store]]


class Server:
    """One process's server. `start`, then `url`; `close` drains and flushes."""

    accounts: AccountsPart

    def __init__(
        self,
        config: Config,
        *,
        open_store: OpenStore = open_store,
        clock: Clock | None = None,
        ids: Ids | None = None,
        workers_folder: Path | None = None,
        with_media: bool = True,
    ) -> None:
        """`workers_folder`: the port is shared with other workers, who meet there; one of them is
        `with_media`.
        """
        self.config = config
        self._workers_folder = workers_folder
        self._with_media = with_media
        self.node_id = new_node_id()
        self.cluster: ClusterPart | None = None
        self.clock = clock or System()
        self.ids = ids or RandomIds()
        self.port = 0
        self.tasks = TaskOwner("server")
        self._open_store = open_store
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._draining = False
        self._underway = Underway()
        self._trusted = TrustedProxies(config.server.trusted_proxies)

    @property
    def url(self) -> str:
        """Where to reach it: the configured public address, or this machine's."""
        if self.config.server.public_url:
            return self.config.server.public_url.rstrip("/")
        return self.local_url

    @property
    def local_url(self) -> str:
        host = self.config.server.host
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self.port}"

    async def first_admin_link(self) -> str | None:
        """While nobody has an account: the link whose user administers the server."""
        return await self.accounts.first_admin_link(self.url)

    async def start(self) -> None:
        """Raises OSError when the port cannot be had, AppError when the data folder cannot."""
        self.store = await self._open_store(self.config)
        self._closers.append(self.store.close)
        self.shared = await open_shared(self.config, self.node_id, self.clock)
        self._closers.append(self.tasks.close)
        await self._make_parts()
        self._closers.append(self.hub.close)
        self.acceptor = self._make_acceptor()
        if self.acceptor.handover is not None:
            self._closers.append(self.acceptor.handover.close)
        runner = web.AppRunner(self._make_app(), **runner_options(self.config))
        await runner.setup()
        self._closers.append(runner.cleanup)
        self._closers.append(self._underway.settle)
        self.acceptor.http = runner.server
        self.port = await self.acceptor.listen(self.config.server.host, self.config.server.port)
        self._closers.append(self.acceptor.close)
        self._closers.append(self.hub.drain)
        self._closers.append(self._stop_listening)
        gc.collect()
        gc.freeze()
        log.info("server.started", port=self.port, registration=self.config.registration)

    async def close(self) -> None:
        """Not ready any more, new connections go elsewhere; sockets are told; what is under way
        ends; stores are flushed.
        """
        self._draining = True
        while self._closers:
            await self._closers.pop()()
        gc.unfreeze()
        log.info("server.stopped")

    async def _make_parts(self) -> None:
        config, clock, store = self.config, self.clock, self.store
        self.accounts = await accounts_wiring.build(
            config, store, clock=clock, ids=self.ids, features=call_features(config)
        )
        self._closers.append(self._close_accounts)
        self.files = await open_files(config, clock)
        self._closers.append(self.files.close)
        bus, close_bus = open_bus(config, store, clock)
        if close_bus is not None:
            self._closers.append(close_bus)
        self.bus = bus_wiring.build(config, bus, clock=clock, tasks=self.tasks)
        facts = self.facts = FactMaker(self.bus, store.accounts, clock=clock, tasks=self.tasks)
        self.accounts.sessions.on_ended = facts.sessions_ended
        self.accounts.sign_ups.on_added = facts.user_created
        self.hub = Hub(config, authenticate=self.accounts.authenticate, clock=clock)
        self.accounts.attach_outlet(self.hub.outlet)
        await self.hub.start()
        if self.shared is not None:
            self.cluster = ClusterPart(
                config, store, self.shared, node_id=self.node_id, hub=self.hub,
                accounts=self.accounts, clock=clock, tasks=self.tasks,
            )  # fmt: skip
            self._closers.append(self.cluster.close)
        self._make_chat(self.cluster)
        if self.cluster is not None:
            await self.cluster.start(self.presence)
        # After the cluster: who is not seen alive loses his calls to us.
        await self._start_calls(self.cluster)
        await self.bus.start()
        OrphanSweep(self.files, tasks=self.tasks, leads=self._leads).start()

    def _make_chat(self, cluster: ClusterPart | None) -> None:
        """Chat and presence, of one process or as one of many nodes has them."""
        config, clock, store, tasks = self.config, self.clock, self.store, self.tasks
        relay = None if cluster is None else cluster.relay
        self._leaving = LeavingOutlet(self.hub.outlet if relay is None else relay.local)
        self.chat = Chat(
            store, self._leaving,
            clock=clock, ids=self.ids, config=config, tasks=tasks, relay=relay,
            leads=self._leads, tell=self.facts.stored, facts_kept=lambda: self.facts.kept,
        )  # fmt: skip
        self.chat.start()
        self._closers.append(self.bus.close)
        self._closers.append(self.chat.close)
        self.presence = presence_wiring.build(
            config, store, outlet=self.hub.outlet, clock=clock, tasks=tasks,
            node_id=None if cluster is None else self.node_id,
            shared=None if cluster is None else cluster.shared.presence,
            fanout=None if cluster is None else cluster.presence_port,
        )  # fmt: skip
        self._closers.append(self.presence.close)

    async def _start_calls(self, cluster: ClusterPart | None) -> None:
        self.calling = Calling(
            self.config, self.store, clock=self.clock, ids=self.ids, tasks=self.tasks,
            leads=self._leads,
        )  # fmt: skip
        if self.config.media.enabled:
            self._closers.append(self.calling.close)
            await self.calling.start(
                self.chat, self.hub, self._leaving, cluster=cluster, with_media=self._with_media
            )
        if self.calling.calls is not None or self.calling.media is not None:
            self._follow_logouts(cluster)

    def _follow_logouts(self, cluster: ClusterPart | None) -> None:
        """At this node and, in a cluster, at others."""
        clock, accounts, tasks = self.clock, self.store.accounts, self.tasks
        media, tell = self.calling.media, self.accounts.sessions.on_ended
        logouts = Logouts(
            accounts, calls=self.calling.calls, clock=clock, tasks=tasks,
            relays=None if media is None else Revoking(media, accounts, clock=clock, tasks=tasks),
        )  # fmt: skip

        def ended(session_ids: Collection[SessionId]) -> None:
            tell(session_ids)
            logouts.sessions_ended(session_ids)

        self.accounts.sessions.on_ended = ended
        if cluster is not None:
            cluster.relay.wide.on_ended.append(logouts.sessions_ended)

    def _make_app(self) -> web.Application:
        hub, config = self.hub, self.config
        hub.mount((*chat_events.bind(self.chat), *self.presence.events))
        hub.observe(self.chat)
        hub.observe(self.presence)
        if self.calling.calls is not None:
            hub.mount(self.calling.calls.events)
            hub.observe(self.calling.calls)
        app = make_app(
            config,
            (
                *accounts_routes.bind(self.accounts),
                *chat_routes.bind(self.chat),
                *self.calling.routes,
            ),
            authenticate=self.accounts.authenticate,
            checks=self._checks(),
            metrics=self._numbers(),
            web_root=web_folder(),
            clock=self.clock,
        )
        add_polling(
            app,
            hub.engine,
            request_body_s=config.limits.request_body_s,
            trusted=self._trusted,
            acceptor=self.acceptor,
        )
        app.on_response_prepare.append(self._part)
        self._underway.watch(app)
        return app

    def _checks(self) -> Mapping[str, Check]:
        shared = {} if self.shared is None else self.shared.checks
        own = {"hub": self._check_draining}
        if self.calling.media is not None:
            own["media"] = self.calling.media.check
        return {**self.store.checks, **shared, **self.files.checks, **own}

    def _leads(self) -> bool:
        return self.cluster is None or self.cluster.leads()

    def _numbers(self) -> list[MetricSource]:
        commits = getattr(self.store, "commits", None)  # the store in memory commits nothing
        numbers: list[MetricSource] = [_HubNumbers(self.hub), self.bus, *self.calling.numbers]
        if self.shared is not None:
            numbers.append(_FanoutNumbers(self.shared.fanout))
        if self.cluster is not None:
            numbers.append(self.cluster.relay)
        if self.acceptor.handover is not None:
            numbers.append(Counts("handover_", self.acceptor.handover.counts))
        return [*numbers, Counts("store_", commits)] if commits is not None else numbers

    def _make_acceptor(self) -> Acceptor:
        limits = self.config.limits
        return Acceptor(
            self.hub.engine,
            None,
            limits=HeadLimits(limits.head_bytes, limits.request_head_s),
            trusted=self._trusted,
            handover=self._make_handover(),
            serves_sockets=self.config.has_role("hub"),
        )

    def _make_handover(self) -> Handover | None:
        if self._workers_folder is None:
            return None
        limits = self.config.limits
        return Handover(
            self._workers_folder, max_bytes=limits.head_bytes + limits.max_payload_bytes + READ_MAX
        )

    async def _stop_listening(self) -> None:
        self.acceptor.stop_listening()

    async def _part(self, request: web.Request, response: web.StreamResponse) -> None:
        """While draining no connection is kept: the next request goes to another server."""
        if self._draining:
            response.force_close()
            response.headers["Connection"] = "close"

    async def _close_accounts(self) -> None:
        self.accounts.close()

    async def _check_draining(self) -> None:
        if self._draining:
            raise Unavailable("The server is shutting down.")


class _FanoutNumbers:
    """What went to and came from other nodes, for /metrics."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout

    def snapshot(self) -> Mapping[str, Any]:
        numbers = {f"fanout_{name}_total": n for name, n in self._fanout.counters.items()}
        return {**numbers, "fanout_connected": int(self._fanout.connected)}


class _HubNumbers:
    """The hub's counters for /metrics; reading `hub.metrics` brings its gauges up to date."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def snapshot(self) -> Mapping[str, Any]:
        gauges = ("connections", "outbox_bytes")
        return Counts("hub_", self._hub.metrics, gauges=gauges).snapshot()


@asynccontextmanager
async def running_server(
    config: Config, *, open_store: OpenStore = open_store, clock: Clock | None = None
) -> AsyncIterator[Server]:
    """`async with running_server(config) as server: server.url`"""
    server = Server(config, open_store=open_store, clock=clock)
    try:
        await server.start()
        yield server
    finally:
        await server.close()


def web_folder() -> Path | None:
    """The built page: of a checkout, or packaged. None: a plain page says how to build it."""
    checkout = Path(__file__).resolve().parents[2] / "clients" / "web" / "dist"
    for folder in (checkout, Path(str(files("server.http"))) / "web"):
        if (folder / "index.html").is_file():
            return folder
    return None
