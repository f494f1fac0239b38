"""Room logs without the server around them: appends acknowledged per second, and what they cost.

    python -m bench.stores postgres|cassandra|cassandra-group|cassandra-3 [seconds]

`spread`: 500 rooms, single events, 64 appends in flight. `hot`: one room, groups of 100 events, the
next one when the one before is acknowledged. Events of 200 bytes, stores as durable as in
production. `pages`: history pages of 50 at random places of a large room. CPU is told apart for
this process and for the store's.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import msgspec

from server.kernel.clock import System
from server.kernel.config import Cassandra
from server.kernel.ids import DeviceId, EventId, LogId, RandomIds, RoomId, Seq, UserId
from storage.api import Batch, Claim, Event, RoomLog
from tests.support.servers.cassandra import Sync, cassandra

IDS = RandomIds()
SENDER, DEVICE = UserId(IDS.new(1)), DeviceId(IDS.new(2))
BODY = msgspec.Raw(msgspec.json.encode({"type": "text", "body": "x" * 174}))
ROOMS, IN_FLIGHT, GROUP = 500, 64, 100
PAGE, PAGES, LARGE = 50, 1_000, 200_000


@dataclass
class Opened:
    """`cpu`: seconds of CPU that the store's own processes have used."""

    log: RoomLog
    cpu: Callable[[], float]


def next_batch(room: RoomId, head: int, size: int = 1) -> Batch:
    now_ms = time.time_ns() // 1_000_000
    events, claims = [], []
    for seq in map(Seq, range(head + 1, head + size + 1)):
        client_id = IDS.new(now_ms)
        events.append(
            Event(
                room, LogId("log"), seq, EventId(IDS.new(now_ms)), now_ms, "message", SENDER,
                DEVICE, BODY, client_id, n=seq,
            )
        )  # fmt: skip
        claims.append(Claim(SENDER, client_id, seq, b"d" * 16, now_ms))
    return Batch(room, Seq(head), tuple(events), tuple(claims))


class Load:
    """`in_flight` writers share the rooms; each waits for one acknowledgement at a time."""

    def __init__(self, store: Opened, *, rooms: int, in_flight: int, group: int) -> None:
        self._store, self._in_flight, self._group = store, in_flight, group
        self._rooms = [RoomId(IDS.new(i)) for i in range(rooms)]
        self._acked, self._waits = 0, list[float]()

    async def run(self, name: str, seconds: float) -> None:
        for room in self._rooms:
            await self._store.log.create(room, LogId("log"))
        await self._write(min(1.0, seconds / 4))
        self._acked, self._waits = 0, []
        server, ours, started = self._store.cpu(), time.process_time(), time.monotonic()
        await self._write(seconds)
        wall = time.monotonic() - started
        ours, server = time.process_time() - ours, self._store.cpu() - server
        waits = sorted(self._waits)
        p50, p99 = (waits[int(len(waits) * q)] * 1e3 for q in (0.5, 0.99))
        print(
            f"  {name:8} {self._acked / wall:9,.0f} events/s  ack p50 {p50:6.1f} ms  p99 {p99:6.1f}"
            f" ms  CPU us/event: here {ours / self._acked * 1e6:5.1f},"
            f" store {server / self._acked * 1e6:5.1f}"
        )

    async def _write(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        shares = [self._rooms[i :: self._in_flight] for i in range(self._in_flight)]
        await asyncio.gather(*(self._writer(share, end) for share in shares if share))

    async def _writer(self, rooms: list[RoomId], end: float) -> None:
        heads = {room: h.head for room, h in (await self._store.log.heads(rooms)).items()}
        while time.monotonic() < end:
            for room in rooms:
                started = time.monotonic()
                refused = await self._store.log.append(next_batch(room, heads[room], self._group))
                assert refused is None, refused
                heads[room] = Seq(heads[room] + self._group)
                self._acked += self._group
                self._waits.append(time.monotonic() - started)


async def measure_pages(store: Opened) -> None:
    room = RoomId(IDS.new(0))
    await store.log.create(room, LogId("log"))
    for head in range(0, LARGE, 500):
        await store.log.append(next_batch(room, head, 500))
    waits = []
    for _ in range(PAGES):
        before = Seq(random.randrange(PAGE, LARGE))
        started = time.monotonic()
        rows, _ = await store.log.read(room, before=before, limit=PAGE, newest=True, messages=True)
        waits.append(time.monotonic() - started)
        assert len(rows) >= PAGE - 1
    waits.sort()
    p50, p99 = (waits[int(len(waits) * q)] * 1e3 for q in (0.5, 0.99))
    print(f"  pages of {PAGE} from {LARGE:,} events: p50 {p50:.2f} ms  p99 {p99:.2f} ms")


@asynccontextmanager
async def open_postgres_store() -> AsyncIterator[Opened]:
    from storage.postgres import open_postgres
    from tests.support.servers.postgres import postgres_server

    with postgres_server(durable=True) as server:
        store = await open_postgres(server.config(), clock=System())
        try:
            yield Opened(store.log, server.cpu_s)
        finally:
            await store.close()


@asynccontextmanager
async def open_cassandra_store(nodes: Literal[1, 3], sync: Sync) -> AsyncIterator[Opened]:
    from storage.cassandra import open_cassandra

    with cassandra(nodes, sync=sync) as cluster:
        config = Cassandra(hosts=cluster.hosts, port=cluster.port, replication=nodes)
        log = await open_cassandra(config, clock=System())
        try:
            yield Opened(log, cluster.cpu_s)
        finally:
            await log.close()


STORES: dict[str, Callable[[], AbstractAsyncContextManager[Opened]]] = {
    "postgres": open_postgres_store,
    "cassandra": partial(open_cassandra_store, 1, "periodic"),
    "cassandra-group": partial(open_cassandra_store, 1, "group"),
    "cassandra-3": partial(open_cassandra_store, 3, "periodic"),
}


async def main(kind: str, seconds: float) -> None:
    async with STORES[kind]() as store:
        print(kind)
        await Load(store, rooms=ROOMS, in_flight=IN_FLIGHT, group=1).run("spread", seconds)
        await Load(store, rooms=1, in_flight=1, group=GROUP).run("hot", seconds)
        await measure_pages(store)


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0))
