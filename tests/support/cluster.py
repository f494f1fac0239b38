"""A whole cluster on this machine: stores as production runs them, hubs, a proxy before them.

Used by the fault tests, which break it, and by `make cluster`, whose user does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from server.kernel.config import Accounts, Cassandra, Config, Hub, Logging, Server, Store
from tests.support import balancer, hubs
from tests.support.links import Link
from tests.support.servers import cassandra as cassandra_server
from tests.support.servers import minio as minio_server
from tests.support.servers import postgres as postgres_server
from tests.support.servers import redis as redis_server
from tests.support.servers.base import Process, free_port, server_folder

READY_S = 120.0
DATABASE = "hubbub"
_T = TypeVar("_T")
replace = msgspec.structs.replace


@dataclass(frozen=True)
class Shape:
    """`links`: each hub reaches Redis and PostgreSQL, and all reach Cassandra, by links that can be
    cut. `clock`: the last hub's clock can be set. `hasty`: heartbeats that suit faults of seconds,
    tokens that outlive a clock set wrong, and no rate limits.
    """

    log: Literal["cassandra", "postgres"] = "cassandra"
    hubs: int = 2
    links: bool = False
    clock: bool = False
    minio: bool = False
    proxy: bool = False
    hasty: bool = True
    heap_mb: int = 320
    port: int = 0


class Stores:
    """The servers that hubs keep things in."""

    def __init__(
        self,
        postgres: postgres_server.PostgresServer,
        redis: redis_server.Server,
        cassandra: cassandra_server.Cassandra | None,
        minio: minio_server.MinioServer | None,
    ) -> None:
        self.postgres = postgres
        self.redis = redis
        self.cassandra = cassandra
        self.minio = minio

    def config(self) -> Config:
        """As a hub without links in between would have it."""
        config = Config(
            store=Store(log="postgres"),
            postgres=self.postgres.config(DATABASE),
            redis=self.redis.settings,
        )
        if self.cassandra is not None:
            told = Cassandra(hosts=self.cassandra.hosts, port=self.cassandra.port)
            config = replace(config, store=Store(log="cassandra"), cassandra=told)
        if self.minio is not None:
            files = replace(config.store, files="s3")
            config = replace(config, store=files, s3=self.minio.config)
        return config


class Cluster:
    """Everything that runs. `wires` are the links, by (hub or Cassandra node, store)."""

    def __init__(self, shape: Shape, folder: Path, stores: Stores) -> None:
        self.shape = shape
        self.folder = folder
        self.stores = stores
        self.hubs: list[hubs.Hub] = []
        self.wires: dict[tuple[str, str], Link] = {}
        self.proxy: Process | None = None
        self.proxy_port = shape.port or free_port()

    @property
    def urls(self) -> Sequence[str]:
        return [hub.url for hub in self.hubs]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy_port}"

    def make_hubs(self) -> None:
        for number in range(self.shape.hubs):
            name = f"hub{number + 1}"
            env = hubs.environment(**self._sections(name))
            clock = self.shape.clock and number == self.shape.hubs - 1
            limits = hubs.FREE if self.shape.hasty else {}
            self.hubs.append(hubs.Hub(name, self.folder, env | limits, clock=clock))

    def _sections(self, name: str) -> dict[str, msgspec.Struct]:
        config = self.stores.config()
        server = Server(registration="open", trusted_proxies=("127.0.0.1",), directory=True)
        sections: dict[str, msgspec.Struct] = {
            "server": server, "store": config.store, "postgres": config.postgres,
            "redis": config.redis, "cassandra": config.cassandra, "s3": config.s3,
            "logging": Logging(level="warning"),
        }  # fmt: skip
        if self.shape.hasty:
            sections["hub"] = Hub(ping_interval_s=6.0, ping_timeout_s=6.0)
            sections["accounts"] = Accounts(access_token_s=86_400)
        for store in ("postgres", "redis"):
            link = self.wires.get((name, store))
            if link is not None:
                told: msgspec.Struct = sections[store]
                sections[store] = replace(told, host=link.host, port=link.port)
        if ("cassandra1", "clients") in self.wires:
            links = [link for (_, what), link in self.wires.items() if what == "clients"]
            sections["cassandra"] = replace(
                config.cassandra, hosts=tuple(link.host for link in links)
            )
        return sections

    async def start_hubs(self) -> None:
        """The first one alone: it makes the tables."""
        for hub in self.hubs:
            await _to_its_end(asyncio.to_thread(hub.start))

    async def ready(self, within_s: float = READY_S) -> None:
        """Wait until all hubs are; one that gave its start up is started again, as a supervisor
        does. RuntimeError: they were not in time.
        """
        give_up = time.monotonic() + within_s
        for hub in self.hubs:
            while not await asyncio.to_thread(hub.ready):
                if time.monotonic() > give_up:
                    raise RuntimeError(f"{hub.name} is not ready: {hub.process.tail()}")
                if not hub.process.running:
                    await _to_its_end(asyncio.to_thread(hub.start))
                await asyncio.sleep(0.2)


@asynccontextmanager
async def running_cluster(shape: Shape) -> AsyncIterator[Cluster]:
    """Start all of it, and stop all of it. Raises servers.base.Missing."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(server_folder("cluster"))
        stores = await _to_its_end(asyncio.to_thread(_start_stores, stack, shape, folder))
        cluster = Cluster(shape, folder, stores)
        if shape.links:
            await _make_links(stack, cluster)
        cluster.make_hubs()
        for hub in cluster.hubs:
            stack.push_async_callback(asyncio.to_thread, hub.process.stop)
        await cluster.start_hubs()
        await cluster.ready()
        if shape.proxy:
            ports = [(hub.name, hub.port) for hub in cluster.hubs]
            cluster.proxy = balancer.haproxy(folder, cluster.proxy_port, ports)
            stack.callback(cluster.proxy.stop)
            balancer.start(cluster.proxy, cluster.proxy_port)
        yield cluster


async def _to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """A thread cannot be stopped: who cancels waits for it, and then stops what it started."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _start_stores(stack: AsyncExitStack, shape: Shape, folder: Path) -> Stores:
    cassandra = None
    if shape.log == "cassandra":
        yaml = {i: f"broadcast_rpc_address: {_front(i)}\n" for i in range(3)} if shape.links else {}
        cassandra = stack.enter_context(
            cassandra_server.cassandra(3, sync="group", heap_mb=shape.heap_mb, yaml=yaml)
        )
    # An operator's lines end hubs that were killed soon, and their locks with them.
    options = ("tcp_keepalives_idle=5", "tcp_keepalives_interval=2", "tcp_keepalives_count=2")
    postgres = stack.enter_context(postgres_server.postgres_server(durable=True, options=options))
    asyncio.run(postgres_server.run_sql(postgres.config("postgres"), f"CREATE DATABASE {DATABASE}"))
    redis = redis_server.Server(folder, "redis")
    stack.callback(redis.stop)
    redis.start()
    minio = None
    if shape.minio:
        minio = minio_server.start(stack.enter_context(server_folder("minio")))
        assert minio.process is not None
        stack.callback(minio.process.stop)
    return Stores(postgres, redis, cassandra, minio)


def _front(number: int) -> str:
    """The address that clients are told for a Cassandra node: a link's, not its own."""
    return f"127.0.1.{number + 1}"


async def _make_links(stack: AsyncExitStack, cluster: Cluster) -> None:
    stores = cluster.stores
    ends = {
        (f"hub{n + 1}", store): Link(("127.0.0.1", port))
        for n in range(cluster.shape.hubs)
        for store, port in (("postgres", stores.postgres.port), ("redis", stores.redis.port))
    }
    if stores.cassandra is not None:
        port = stores.cassandra.port
        for number, node in enumerate(stores.cassandra.nodes):
            link = Link((node.host, port), host=_front(number), port=port)
            ends[f"cassandra{number + 1}", "clients"] = link
    for key, link in ends.items():
        await link.start()
        stack.push_async_callback(link.close)
        cluster.wires[key] = link
