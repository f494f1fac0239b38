"""Three nodes, three copies: one of them dies under load, and nobody is told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest

from server.kernel.clock import System
from server.kernel.config import Cassandra as Config
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId, RoomId, Seq
from storage.api import Event
from storage.cassandra import CassandraLog, open_cassandra
from tests.support.servers.base import Missing, missing
from tests.support.servers.cassandra import Cassandra, cassandra
from tests.support.stores import batch, event, seqs

pytestmark = pytest.mark.slow

WRITERS = 8
LOAD_S = 8.0
LONGEST_GAP_S = 4.0
"""The aim is 0.5 s and that is what a machine at rest shows; a busy one must pass too."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cassandra]:
    context = cassandra(3)
    try:
        nodes = context.__enter__()
    except Missing as error:
        missing("Cassandra", str(error))
        raise
    try:
        yield nodes
    finally:
        context.__exit__(None, None, None)


class Load:
    """Writers, each in a room of its own."""

    def __init__(self, log: CassandraLog) -> None:
        self._log = log
        self.heads = {RoomId(f"room-{i}"): Seq(0) for i in range(WRITERS)}
        self.acks: list[float] = []

    async def run(self) -> None:
        for room_id in self.heads:
            await self._log.create(room_id, LogId("log-1"))
        stop = time.monotonic() + LOAD_S
        await asyncio.gather(*(self._write(room_id, stop) for room_id in self.heads))

    async def _write(self, room_id: RoomId, stop: float) -> None:
        while time.monotonic() < stop:
            seq = self.heads[room_id] + 1
            assert (
                await self._log.append(batch(event(seq, room_id=room_id), room_id=room_id)) is None
            )
            self.heads[room_id] = Seq(seq)
            self.acks.append(time.monotonic())

    @property
    def longest_gap(self) -> float:
        acks = sorted(self.acks)
        return max(later - sooner for sooner, later in itertools.pairwise(acks))


async def all_rows(log: CassandraLog, room_id: RoomId) -> list[Event]:
    """A machine that is busy with three nodes may refuse a read at first."""
    for _ in range(4):
        try:
            rows, _ = await log.read(room_id, limit=10_000, max_bytes=10**8)
        except Unavailable:
            await asyncio.sleep(1.0)
        else:
            return rows
    raise AssertionError(f"{room_id} cannot be read")


async def test_the_death_of_a_node_under_load_costs_no_error_and_no_event(
    cluster: Cassandra,
) -> None:
    config = Config(hosts=cluster.hosts, port=cluster.port, replication=3)
    log = await open_cassandra(config, clock=System())
    load = Load(log)

    async def kill_one() -> None:
        await asyncio.sleep(LOAD_S / 2)
        cluster.nodes[2].process.kill()

    await asyncio.gather(load.run(), kill_one())

    for room_id, head in load.heads.items():
        rows = await all_rows(log, room_id)
        assert seqs(rows) == list(range(1, head + 1))
        assert len({row.id for row in rows}) == head
    assert load.longest_gap < LONGEST_GAP_S, f"{load.longest_gap:.3f} s, {len(load.acks)} stored"
    await log.close()
