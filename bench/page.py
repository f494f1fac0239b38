"""A page of 50 from anywhere in a room of 1,000,000 events.

python bench/page.py [pages] [folder]
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import apsw

from server.kernel.clock import System
from server.kernel.ids import LogId, RoomId, Seq
from storage.sqlite import SqliteStore, open_sqlite

ROOM = RoomId("long")
EVENTS = 1_000_000
FILL = """WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?2)
    INSERT INTO events (pos, type, at, n, id, sender_id, device_id, client_id, content, turns)
    SELECT (?1 << 32) + i, CASE WHEN i % 100000 < 90000 THEN 0 ELSE 3 END, i, i, 'event-' || i,
           'user-' || (i % 50), 'device', 'client-' || i,
           '{"type":"text","body":"' || hex(zeroblob(60)) || '"}',
           CASE WHEN i = 1 OR i % 100000 IN (0, 90000) THEN 1 END
    FROM numbers"""
"""Messages of 120 bytes, with a run of 10,000 reactions after each 90,000."""

VIEWS: dict[str, dict[str, Any]] = {
    "log, forward": {},
    "log, back": {"newest": True},
    "messages, forward": {"messages": True},
    "messages, back": {"newest": True, "messages": True},
}


async def fill(folder: Path) -> None:
    store = await open_sqlite(folder, clock=System())
    await store.log.create(ROOM, LogId("log"))
    await store.close()
    connection = apsw.Connection(str(folder / "hubbub.db"))
    connection.execute("PRAGMA synchronous = OFF")
    key = connection.execute("SELECT key FROM rooms").get
    connection.execute(FILL, (key, EVENTS))
    connection.close()


async def measure(store: SqliteStore, pages: int) -> None:
    chance = random.Random(1)
    for name, view in VIEWS.items():
        waits = []
        for _ in range(pages):
            at = Seq(chance.randrange(EVENTS))
            bound = {"before": at + 1} if view.get("newest") else {"after": at}
            started = time.perf_counter()
            await store.log.read(ROOM, limit=50, **bound, **view)
            waits.append((time.perf_counter() - started) * 1e3)
        waits.sort()
        p50, p99 = (waits[int(pages * q)] for q in (0.5, 0.99))
        print(f"  {name:18} p50 {p50:5.2f} ms  p99 {p99:5.2f} ms  max {waits[-1]:5.2f} ms")


async def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    parent = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        await fill(Path(folder))
        store = await open_sqlite(Path(folder), clock=System())
        print(f"page of 50 from a room of {EVENTS:,} events, {pages} pages each")
        await measure(store, pages)
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
