"""Facts through the bus: published in groups, handled by one worker that does nothing with them.

    python bench/bus.py [facts]

`one`: the handler gets each fact by itself, four at once; `batch`: a hundred together. Redis runs
as its own process, with `appendfsync` everysec and always. `append`: what telling costs the log of
an embedded server: appends with no group, and with one that wants each event.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from server.bus.facts import stored
from server.bus.handlers import Handler, Verdict
from server.bus.worker import Worker
from server.kernel.clock import System
from server.kernel.ids import LogId, RoomId
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Fact
from storage.redis.bus import RedisBus
from storage.sqlite import open_sqlite

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.storage_sqlite import next_batch
from tests.support.servers.redis import Server

GROUP = 50
APPENDS = 20_000
IN_FLIGHT = 200


@asynccontextmanager
async def sqlite_bus() -> AsyncIterator[Bus]:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_sqlite(Path(folder), clock=System())
        try:
            yield store.bus
        finally:
            await store.close()


@asynccontextmanager
async def redis_bus(fsync: str) -> AsyncIterator[Bus]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = Server(Path(folder), "redis", "--appendonly", "yes", "--appendfsync", fsync)
        server.start()
        bus = RedisBus(server.settings, System(), settle_s=0)
        try:
            yield bus
        finally:
            await bus.close()
            server.stop()


async def through(bus: Bus, count: int, batch: int) -> tuple[float, float, float]:
    """Facts per second published alone, worked off alone, and CPU microseconds for each fact."""
    handled, all_handled = 0, asyncio.Event()

    async def handle(facts: Sequence[Fact]) -> Verdict:
        nonlocal handled
        handled += len(facts)
        if handled >= count:
            all_handled.set()
        return None

    tasks = TaskOwner("bench")
    handler = Handler("bench", ("*",), handle, batch=batch)
    worker = Worker(bus, handler, consumer="one", attempts=8, clock=System(), tasks=tasks)
    await worker.join()
    room = RoomId("room-1")
    facts = [stored(next_batch(room, seq).events[0]) for seq in range(count)]
    cpu, began = time.process_time(), time.monotonic()
    for start in range(0, count, GROUP):
        await bus.publish(facts[start : start + GROUP])
    published = time.monotonic()
    worker.start()
    await all_handled.wait()
    await worker.settled()
    ended, cpu = time.monotonic(), time.process_time() - cpu
    await worker.close(1)
    await bus.leave("bench")
    await tasks.close()
    return count / (published - began), count / (ended - published), cpu / count * 1e6


async def appends(told: bool) -> tuple[float, float]:
    """Per second, and CPU microseconds for each: 200 in flight in as many rooms, each append with
    its fact where somebody wants it.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = await open_sqlite(Path(folder), clock=System())
        if told:
            await store.bus.join("bench")

        async def send(room: RoomId) -> None:
            await store.log.create(room, LogId("log"))
            for head in range(APPENDS // IN_FLIGHT):
                batch = next_batch(room, head)
                append = store.log.append(batch)
                if store.bus.wants("message.stored"):
                    facts = [stored(event) for event in batch.events]
                    publish = store.bus.publish(facts, after=append)
                    await append
                    await publish
                else:
                    await append

        cpu, began = time.process_time(), time.monotonic()
        await asyncio.gather(*(send(RoomId(f"room-{i}")) for i in range(IN_FLIGHT)))
        taken, cpu = time.monotonic() - began, time.process_time() - cpu
        await store.close()
        return APPENDS / taken, cpu / APPENDS * 1e6


async def main(count: int) -> None:
    print(f"{'bus':<16} {'handler':<7} {'published/s':>12} {'handled/s':>10} {'CPU us':>7}")
    for name, opened in (
        ("sqlite", sqlite_bus),
        ("redis everysec", lambda: redis_bus("everysec")),
        ("redis always", lambda: redis_bus("always")),
    ):
        async with opened() as bus:
            for kind, batch in (("one", 1), ("batch", 100)):
                published, handled, cpu = await through(bus, count, batch)
                print(f"{name:<16} {kind:<7} {published:>12,.0f} {handled:>10,.0f} {cpu:>7.0f}")
    for told in (False, True, False, True):
        rate, cpu = await appends(told)
        groups = "one group" if told else "no group"
        print(f"append, {groups}: {rate:,.0f}/s, {cpu:.0f} us of CPU each")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
