"""`make cluster`: a whole cluster on this machine, to kill parts of while browser tabs chat on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support import balancer
from tests.support.cluster import Cluster, Shape, running_cluster
from tests.support.servers.base import Missing, Process, accepts

PORT = 8080
BACK_S = 15.0
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
NEEDS = {
    "cassandra": "3 Cassandra nodes take about 2.1 GB, all of it about 2.5 GB, and 1 to 2 minutes",
    "postgres": "all of it takes about 0.5 GB, and some 10 seconds",
}


@dataclass(frozen=True)
class Part:
    name: str
    address: str
    process: Process
    start: Callable[[], None]


def main() -> int:
    log = os.environ.get("LOG") or "cassandra"
    if log not in NEEDS:
        _say(f"LOG={log}: write LOG=cassandra (the default) or LOG=postgres")
        return 2
    _say(f"Starting: {NEEDS[log]}.")
    shape = Shape(
        log="postgres" if log == "postgres" else "cassandra", minio=True, proxy=True, hasty=False,
        port=int(os.environ.get("PORT") or PORT),
    )  # fmt: skip
    try:
        asyncio.run(_play(shape))
    except Missing as error:
        _say(f"{error}\nINSTALL=1 make cluster installs what is missing (as root).")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    return 0


async def _play(shape: Shape) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    starting = asyncio.current_task()
    assert starting is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, starting.cancel)
    async with running_cluster(shape) as cluster:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        _say("\n".join(_welcome(cluster)))
        reviving = asyncio.create_task(_revive(cluster), name="play.revive")
        await ended.wait()
        reviving.cancel()
        await asyncio.gather(reviving, return_exceptions=True)
        _say("\nStopping all of it ...")
    _say("Stopped.")


def _welcome(cluster: Cluster) -> Iterator[str]:
    yield ""
    yield f"Open {cluster.url} in two tabs, sign up in each, and chat."
    yield "A tab stays with its hub as long as that lives, by a cookie of the proxy."
    yield ""
    yield f"  {'part':<14}{'address':<24}{'MB':>6}   to kill it        to freeze it"
    rows = list(_parts(cluster))
    for part in rows:
        yield (f"  {part.name:<14}{part.address:<24}{_megabytes(part.process.pid):>6.0f}   "
               f"kill -9 {part.process.pid:<9} kill -STOP {part.process.pid}")  # fmt: skip
    yield f"  {'in all':<38}{sum(_megabytes(part.process.pid) for part in rows):>6.0f}"
    yield ""
    yield "kill -CONT and the same number thaws it. What should happen:"
    yield "  a hub:       its tabs are on the other one within seconds, nothing is lost"
    yield "  Cassandra:   one node of three is not missed; of two, sends wait and fail politely"
    yield "  Redis:       chat goes on; between the hubs it takes up to 10 seconds"
    yield "  PostgreSQL:  nobody logs in, and sends are refused, until it is back"
    yield f"What was killed comes back after {BACK_S:g} s, with a new number, told here."
    yield f"Logs are in {cluster.folder}."
    yield "Ctrl-C stops all of it and removes its data."


async def _revive(cluster: Cluster) -> None:
    """As a supervisor does, only slower, so that there is time to look."""
    dead_since: dict[str, float] = {}
    while True:
        await asyncio.sleep(0.5)
        for part in _parts(cluster):
            if part.process.running:
                dead_since.pop(part.name, None)
            elif part.name not in dead_since:
                dead_since[part.name] = time.monotonic()
                _say(f"  {part.name} is dead.")
            elif time.monotonic() - dead_since[part.name] > BACK_S:
                await _start_again(part)


async def _start_again(part: Part) -> None:
    try:
        await asyncio.to_thread(part.start)
        _say(f"  {part.name} is back: kill -9 {part.process.pid}")
    except RuntimeError:  # what it needs is away as well: tried again
        _say(f"  {part.name} cannot start yet.")


def _parts(cluster: Cluster) -> Iterator[Part]:
    stores, proxy = cluster.stores, cluster.proxy
    for hub in cluster.hubs:
        yield Part(hub.name, hub.url, hub.process, hub.start)
    for number, node in enumerate(stores.cassandra.nodes if stores.cassandra else (), 1):
        yield Part(f"cassandra{number}", f"{node.host}:{node.port}", node.process, node.start)
    redis, postgres, minio = stores.redis, stores.postgres, stores.minio
    yield Part("redis", f"127.0.0.1:{redis.port}", redis.process, redis.start)
    yield Part("postgres", f"127.0.0.1:{postgres.port}", postgres.process, postgres.start)
    if minio is not None and minio.process is not None:
        host, port = minio.config.endpoint.split(":")
        again = partial(minio.process.start, lambda: accepts(host, int(port)), within_s=30)
        yield Part("minio", minio.config.endpoint, minio.process, again)
    if proxy is not None:
        again = partial(balancer.start, proxy, cluster.proxy_port)
        yield Part("haproxy", f"127.0.0.1:{cluster.proxy_port}", proxy, again)


def _megabytes(pid: int) -> float:
    """Resident memory of the process and what it started."""
    pages = 0.0
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages += sum(_megabytes(int(child)) for child in children)
    return pages


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
