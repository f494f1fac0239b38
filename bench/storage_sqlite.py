"""Appends to the SQLite store: acknowledged per second, CPU for each, under a busy event loop.

    python bench/storage_sqlite.py [seconds] [folder]

`spread`: 500 rooms, 200 single-event appends in flight, each with a receipt in its fold, as a send
has. `hot`: one room, 8 in flight. `busy`: the loop has work for each append, as in a server. The
floor is what the same costs with the store in memory; it is taken off.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from server.kernel.clock import System
from server.kernel.ids import DeviceId, EventId, LogId, RandomIds, RoomId, Seq, UserId
from storage.api import Batch, Claim, Event, PutReceipt, Store
from storage.memory import open_memory
from storage.sqlite import open_sqlite

BODY = msgspec.Raw(msgspec.json.encode({"type": "text", "body": "x" * 120}))
IDS = RandomIds()
SENDER, DEVICE = UserId(IDS.new(1)), DeviceId(IDS.new(2))


def next_batch(room: RoomId, head: int) -> Batch:
    now_ms = time.time_ns() // 1_000_000
    seq, client_id = Seq(head + 1), IDS.new(now_ms)
    event = Event(
        room, LogId("log"), seq, EventId(IDS.new(now_ms)), now_ms, "message", SENDER, DEVICE,
        BODY, client_id, n=seq,
    )  # fmt: skip
    return Batch(room, Seq(head), (event,), (Claim(SENDER, client_id, seq, b"d" * 16, now_ms),))


def spin(busy_us: float) -> None:
    end = time.thread_time_ns() + busy_us * 1_000
    while time.thread_time_ns() < end:
        pass


class Load:
    """`in_flight` workers, each appending to its rooms in turn and waiting for each ack."""

    def __init__(self, store: Store, rooms: int, in_flight: int, busy_us: float) -> None:
        self.store, self.in_flight, self.busy_us = store, in_flight, busy_us
        self.heads = {RoomId(f"room-{i}"): 0 for i in range(rooms)}
        self.acked, self.waits = 0, list[float]()

    async def run(self, seconds: float) -> tuple[float, float]:
        """Returns the wall seconds and the CPU seconds it took."""
        for room in self.heads:
            await self.store.log.create(room, LogId("log"))
        started, cpu = time.monotonic(), time.process_time()
        self.end = started + seconds
        await asyncio.gather(*(self.work(i) for i in range(self.in_flight)))
        return time.monotonic() - started, time.process_time() - cpu

    async def work(self, number: int) -> None:
        rooms = list(self.heads)[number :: self.in_flight] or [RoomId("room-0")]
        while time.monotonic() < self.end:
            for room in rooms:
                await self.send(room)

    async def send(self, room: RoomId) -> None:
        head = self.heads[room]
        self.heads[room] = head + 1
        started = time.monotonic()
        appended = self.store.log.append(next_batch(room, head))
        receipt = PutReceipt(SENDER, Seq(head + 1), Seq(head + 1))
        self.store.projections.apply(
            room, from_seq=Seq(head), to_seq=Seq(head + 1), changes=(receipt,)
        )
        if self.busy_us:
            spin(self.busy_us)
        refused = await appended
        assert refused is None, refused
        self.acked += 1
        self.waits.append(time.monotonic() - started)


async def measure(
    store: Store, rooms: int, in_flight: int, busy_us: float, seconds: float
) -> float:
    load = Load(store, rooms, in_flight, busy_us)
    wall, cpu = await load.run(seconds)
    await store.close()
    waits = sorted(load.waits)
    each = cpu / load.acked * 1e6
    p50, p99 = (waits[int(len(waits) * q)] * 1e3 for q in (0.5, 0.99))
    print(
        f"  {type(store).__name__:12} {load.acked / wall:9,.0f} acked/s  {each:6.1f} us CPU each"
        f"  ack p50 {p50:5.1f} ms  p99 {p99:5.1f} ms"
    )
    return each


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    parent = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    for name, rooms, in_flight, busy_us in (
        ("spread", 500, 200, 0.0),
        ("spread, busy 60 us", 500, 200, 60.0),
        ("hot", 1, 8, 0.0),
    ):
        print(name)
        floor = await measure(open_memory(), rooms, in_flight, busy_us, min(seconds, 1.0))
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            store = await open_sqlite(Path(folder), clock=System())
            each = await measure(store, rooms, in_flight, busy_us, seconds)
        print(f"  SQLite costs {each - floor:.1f} us CPU for each append with its fold")


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
