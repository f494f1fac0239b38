"""`make cluster`: a whole cluster on this machine, to kill parts of while browser tabs chat on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.cluster import Cluster, Shape, running_cluster
from tests.support.servers.base import Missing

PORT = 8080
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
NEEDS = {
    "cassandra": "3 Cassandra nodes take about 1.9 GB, all of it about 2.7 GB, and 1 to 2 minutes",
    "postgres": "all of it takes about 0.5 GB, and some 10 seconds",
}


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
        await ended.wait()
        _say("\nStopping all of it ...")
    _say("Stopped.")


def _welcome(cluster: Cluster) -> Iterator[str]:
    yield ""
    yield f"Open {cluster.url} in two tabs, sign up in each, and chat."
    yield "A tab stays with its hub as long as that lives, by a cookie of the proxy."
    yield ""
    yield f"  {'part':<14}{'address':<24}{'MB':>6}   to kill it        to freeze it"
    rows = list(_parts(cluster))
    for name, address, pid in rows:
        yield (f"  {name:<14}{address:<24}{_megabytes(pid):>6.0f}   "
               f"kill -9 {pid:<9} kill -STOP {pid}")  # fmt: skip
    yield f"  {'in all':<38}{sum(_megabytes(pid) for *_, pid in rows):>6.0f}"
    yield ""
    yield "kill -CONT and the same number thaws it. What should happen:"
    yield "  a hub:       its tabs are on the other one within seconds, nothing is lost"
    yield "  Cassandra:   one node of three is not missed; of two, sends wait and fail politely"
    yield "  Redis:       chat goes on; between the hubs it takes up to 10 seconds"
    yield "  PostgreSQL:  nobody logs in, and sends are refused, until it is back"
    yield f"Logs are in {cluster.folder}. What was killed stays dead until the next make cluster."
    yield "Ctrl-C stops all of it and removes its data."


def _parts(cluster: Cluster) -> Iterator[tuple[str, str, int]]:
    for hub in cluster.hubs:
        yield hub.name, hub.url, hub.process.pid
    stores = cluster.stores
    if stores.cassandra is not None:
        for number, node in enumerate(stores.cassandra.nodes, 1):
            yield f"cassandra{number}", f"{node.host}:{node.port}", node.process.pid
    yield "redis", f"127.0.0.1:{stores.redis.port}", stores.redis.process.pid
    yield "postgres", f"127.0.0.1:{stores.postgres.port}", stores.postgres.process.pid
    if stores.minio is not None and stores.minio.process is not None:
        yield "minio", stores.minio.config.endpoint, stores.minio.process.pid
    if cluster.proxy is not None:
        yield "haproxy", f"127.0.0.1:{cluster.proxy_port}", cluster.proxy.pid


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
