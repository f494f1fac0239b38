"""A worker's process is killed after its handler and before its `done`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from server.bus.handlers import Handler, Verdict
from server.bus.worker import Worker
from server.kernel.clock import Virtual
from server.kernel.config import Redis as RedisSettings
from server.kernel.tasks import TaskOwner
from storage.api import Bus, Fact
from storage.redis.bus import RedisBus
from storage.sqlite import open_sqlite
from tests.support.bus_worker import Ledger
from tests.support.buses import age, facts, redis_settings
from tests.support.process import ROOT

pytestmark = pytest.mark.slow


@contextmanager
def doomed_worker(*arguments: str) -> Iterator[None]:
    """Killed when the block is left; entered once it has handled something."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.bus_worker", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "handled\n"
        yield
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@asynccontextmanager
async def open_sqlite_bus(folder: Path) -> AsyncIterator[Bus]:
    """Its clock is years ahead of the killed worker's: leases are over."""
    store = await open_sqlite(folder, clock=Virtual(4_000_000_000_000))
    try:
        yield store.bus
    finally:
        await store.close()


@asynccontextmanager
async def open_redis_bus(settings: RedisSettings) -> AsyncIterator[RedisBus]:
    bus = RedisBus(settings, Virtual(), settle_s=0)
    try:
        yield bus
    finally:
        await bus.close()


async def work_off(bus: Bus, ledger: Ledger) -> None:
    async def handle(told: Sequence[Fact]) -> Verdict:
        ledger.note(told)
        return None

    tasks = TaskOwner("test")
    handler = Handler("push", ("*",), handle, batch=10)
    worker = Worker(
        bus, handler, consumer="next", attempts=8, clock=Virtual(), tasks=tasks
    )  # fmt: skip
    assert await worker.turn() == 2
    await worker.settled()


async def test_over_sqlite_the_fact_comes_again_and_is_done_once(tmp_path: Path) -> None:
    async with open_sqlite_bus(tmp_path / "data") as bus:
        await bus.join("push")
        await bus.publish(facts(1, 2))
    ledger = Ledger(tmp_path / "ledger.db")

    with doomed_worker("sqlite", str(tmp_path / "data"), str(tmp_path / "ledger.db")):
        pass
    async with open_sqlite_bus(tmp_path / "data") as bus:
        await work_off(bus, ledger)

        assert ledger.calls() == {"message.stored:1": 2, "message.stored:2": 2}
        assert await bus.waiting() == {"push": 0}
    ledger.close()


async def test_over_redis_the_fact_comes_again_and_is_done_once(tmp_path: Path) -> None:
    settings = redis_settings()
    ledger = Ledger(tmp_path / "ledger.db")
    async with open_redis_bus(settings) as bus:
        await bus.join("push")
        await bus.publish(facts(1, 2))

        where = msgspec.json.encode(settings).decode()
        with doomed_worker("redis", where, str(tmp_path / "ledger.db")):
            await asyncio.sleep(0)
        assert await bus.take("push", "next", limit=9, wait_s=0, lease_s=60) == []
        await age(bus, 1_000)
        await work_off(bus, ledger)

        assert ledger.calls() == {"message.stored:1": 2, "message.stored:2": 2}
        assert await bus.waiting() == {"push": 0}
    ledger.close()
