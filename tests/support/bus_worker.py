"""A worker as a process of its own, to be killed between its handler and its `done`.

    python -m tests.support.bus_worker sqlite FOLDER LEDGER
    python -m tests.support.bus_worker redis SETTINGS-AS-JSON LEDGER

It notes each fact's id in the LEDGER, a SQLite file, as an idempotent handler would, prints
"handled", and never gets further.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from server.bus.handlers import Handler, Verdict
from server.bus.worker import Worker
from server.kernel.clock import System
from server.kernel.config import Redis as RedisSettings
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Fact


class Ledger:
    """`entries`: what was done; `calls`: how often it was asked for."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY, calls INTEGER)")

    def note(self, facts: Sequence[Fact]) -> None:
        with self._db:
            self._db.executemany(
                "INSERT INTO done VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET calls = calls + 1",
                [(fact.id,) for fact in facts],
            )

    def calls(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT id, calls FROM done"))

    def close(self) -> None:
        self._db.close()


async def open_bus(kind: str, where: str) -> Bus:
    if kind == "redis":
        from storage.redis.bus import RedisBus

        return RedisBus(msgspec.json.decode(where, type=RedisSettings), System(), settle_s=0)
    from storage.sqlite import open_sqlite

    return (await open_sqlite(Path(where), clock=System())).bus


async def main(kind: str, where: str, ledger_path: str) -> None:
    bus, ledger, tasks = await open_bus(kind, where), Ledger(Path(ledger_path)), TaskOwner("w")

    async def handle(facts: Sequence[Fact]) -> Verdict:
        ledger.note(facts)
        print("handled", flush=True)
        await asyncio.Event().wait()
        return None

    worker = Worker(
        bus, Handler("push", ("*",), handle, batch=10), consumer="doomed", attempts=8,
        clock=System(), tasks=tasks,
    )  # fmt: skip
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
