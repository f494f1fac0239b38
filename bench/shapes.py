"""The stores that a cluster is measured on: real servers, as durable as in production."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from bench import machine, servers
from bench.generator import CannotRun
from server.kernel.config import Cassandra, Config, Logging, Server, Store
from tests.support.hubs import environment
from tests.support.servers import cassandra as cassandra_servers
from tests.support.servers import postgres as postgres_servers
from tests.support.servers import redis as redis_servers
from tests.support.servers.base import Missing, server_folder

NAMES = ("sqlite", "postgres", "cassandra", "cassandra group", "cassandra 3")
DATABASE = "bench"
HEAP_MB = 512

CpuSeconds = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Shape:
    """`cpu_s`: what each store's processes have used so far."""

    name: str
    config: Config
    cpu_s: CpuSeconds

    def environment(self) -> dict[str, str]:
        names = ("server", "store", "postgres", "redis", "cassandra", "logging")
        told = environment(**{name: getattr(self.config, name) for name in names})
        return {**os.environ, **told}


@contextlib.contextmanager
def running(name: str) -> Iterator[Shape]:
    """Fresh stores. Raises CannotRun: a server is missing."""
    try:
        with contextlib.ExitStack() as stack:
            yield _start(stack, name)
    except Missing as gone:
        raise CannotRun(f"{name}: {gone}") from None


def _start(stack: contextlib.ExitStack, name: str) -> Shape:
    folder = stack.enter_context(servers.data_folder())
    config = Config(server=Server(data=str(folder / "data")), logging=Logging(level="warning"))
    if name == "sqlite":
        return Shape(name, config, dict)
    postgres = stack.enter_context(postgres_servers.postgres_server(durable=True))
    make = postgres_servers.run_sql(postgres.config("postgres"), f"CREATE DATABASE {DATABASE}")
    asyncio.run(make)
    redis = redis_servers.Server(stack.enter_context(server_folder("redis")), "redis")
    redis.start()
    stack.callback(redis.stop)
    config = msgspec.structs.replace(
        config, store=Store(log="postgres"), postgres=postgres.config(DATABASE),
        redis=redis.settings,
    )  # fmt: skip
    pids: dict[str, list[int]] = {"redis": [redis.process.pid]}
    if name.startswith("cassandra"):
        cassandra = _start_cassandra(stack, name)
        pids["cassandra"] = [node.process.pid for node in cassandra.nodes]
        told = Cassandra(
            hosts=cassandra.hosts, port=cassandra.port, replication=len(cassandra.nodes)
        )
        config = msgspec.structs.replace(config, store=Store(log="cassandra"), cassandra=told)

    def cpu_s() -> dict[str, float]:
        used = {store: sum(machine.cpu_s(pid) for pid in own) for store, own in pids.items()}
        return {"postgres": postgres.cpu_s(), **used}

    return Shape(name, config, cpu_s)


def _start_cassandra(stack: contextlib.ExitStack, name: str) -> cassandra_servers.Cassandra:
    nodes: Literal[1, 3] = 3 if name.endswith("3") else 1
    sync: cassandra_servers.Sync = "group" if name.endswith("group") else "periodic"
    return stack.enter_context(
        cassandra_servers.cassandra(nodes, sync=sync, heap_mb=HEAP_MB if nodes == 1 else 320)
    )
