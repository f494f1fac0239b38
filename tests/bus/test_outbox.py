"""Facts in SQLite: one transaction with the append they follow, through restarts and power cuts."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from server.bus.facts import stored
from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId
from storage.api import Event
from storage.sqlite import SqliteStore, backup, open_sqlite, restore
from tests.support.buses import facts
from tests.support.power_cut import Disk
from tests.support.stores import GARDEN, batch, event, fill


async def opened(folder: Path, clock: Virtual | None = None) -> SqliteStore:
    return await open_sqlite(folder, clock=clock or Virtual())


async def told(store: SqliteStore) -> list[int | str]:
    taken = await store.bus.take("push", "w", limit=1_000, wait_s=0, lease_s=60)
    return [delivery.fact.data["seq"] for delivery in taken]


async def test_an_append_and_its_facts_are_one_transaction(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store)
    await store.bus.join("push")
    before = store.commits.commit_s.counts.copy()

    append = store.log.append(batch(event(1)))
    await asyncio.gather(append, store.bus.publish([stored(event(1))], after=append))

    assert sum(store.commits.commit_s.counts) - sum(before) == 1
    assert await told(store) == [1]
    await store.close()


async def test_a_refused_append_tells_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store, event(1))
    await store.bus.join("push")

    append = store.log.append(batch(event(1, id="another")))
    publish = store.bus.publish([stored(event(1, id="another"))], after=append)
    refused, _ = await asyncio.gather(append, publish)

    assert refused is not None
    assert await told(store) == []
    await store.close()


async def test_an_append_to_no_log_tells_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.bus.join("push")

    append = store.log.append(batch(event(1)))
    publish = store.bus.publish([stored(event(1))], after=append)
    failed, _ = await asyncio.gather(append, publish, return_exceptions=True)

    assert isinstance(failed, LookupError)
    assert await told(store) == []
    await store.close()


async def test_a_job_that_spoils_its_group_costs_no_fact(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store)
    await store.bus.join("push")

    def spoil(tx: object) -> None:
        raise ValueError("a fault of ours")

    append = store.log.append(batch(event(1)))
    publish = store.bus.publish([stored(event(1))], after=append)
    spoiled = store._writer.submit(spoil, alone=False)
    results = await asyncio.gather(append, publish, spoiled, return_exceptions=True)

    assert results[:2] == [None, None]
    assert isinstance(results[2], ValueError)
    assert await told(store) == [1]
    await store.close()


async def test_without_a_group_publishing_writes_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store)
    before = sum(store.commits.commit_s.counts)

    await store.bus.publish(facts(1, 2, 3))

    assert sum(store.commits.commit_s.counts) == before
    assert not store.bus.wants()
    await store.close()


async def test_groups_facts_and_dead_letters_are_there_after_a_restart(tmp_path: Path) -> None:
    clock = Virtual()
    store = await opened(tmp_path, clock)
    await store.bus.join("push", ("message.*",))
    await store.bus.publish(facts(1, 2))
    taken = await store.bus.take("push", "w", limit=1, wait_s=0, lease_s=60)
    await store.bus.bury("push", taken, "no")
    await store.close()

    store = await opened(tmp_path, clock)

    assert store.bus.wants("message.stored")
    assert not store.bus.wants("user.created")
    assert await told(store) == [2]
    assert [letter.reason for letter in await store.bus.dead()] == ["no"]
    await store.close()


async def test_what_a_killed_server_held_comes_at_the_next_start(tmp_path: Path) -> None:
    clock = Virtual()
    store = await opened(tmp_path, clock)
    await store.bus.join("push")
    await store.bus.publish(facts(1))
    await store.bus.take("push", "w", limit=1, wait_s=0, lease_s=3_600)
    beside = await open_sqlite(tmp_path, clock=clock, readers=1, beside=True)
    await beside.close()
    held = await told(store)
    await store.close()

    store = await opened(tmp_path, clock)

    assert (held, await told(store)) == ([], [1])
    await store.close()


async def test_a_number_is_never_used_twice(tmp_path: Path) -> None:
    """A `done` that comes late, after the fact was finished and others came, hits nothing."""
    store = await opened(tmp_path)
    await store.bus.join("push")
    await store.bus.publish(facts(1))
    [late] = await store.bus.take("push", "w", limit=1, wait_s=0, lease_s=60)
    await store.bus.done("push", [late.handle])
    await store.bus.publish(facts(2))

    await store.bus.done("push", [late.handle])

    assert await told(store) == [2]
    await store.close()


async def test_dead_letters_are_replayed_beside_the_server(tmp_path: Path) -> None:
    server = await opened(tmp_path)
    await server.bus.join("push")
    await server.bus.publish(facts(1, 2))
    taken = await server.bus.take("push", "w", limit=2, wait_s=0, lease_s=60)
    await server.bus.bury("push", taken, "no")

    beside = await open_sqlite(tmp_path, clock=Virtual(), readers=1, beside=True)
    first, second = await beside.bus.dead()
    replayed, dropped = await beside.bus.replay([first.id]), await beside.bus.drop([second.id])
    await beside.close()

    assert (replayed, dropped) == (1, 1)
    assert await told(server) == [1]
    assert await server.bus.dead() == []
    await server.close()


async def test_a_backup_holds_what_waited(tmp_path: Path) -> None:
    store = await opened(tmp_path / "old")
    await store.bus.join("push")
    await store.bus.publish(facts(1))
    backup(tmp_path / "old", tmp_path / "copy.db")
    await store.close()

    restore(tmp_path / "copy.db", tmp_path / "new")
    store = await opened(tmp_path / "new")

    assert await told(store) == [1]
    await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(12))
async def test_after_a_power_cut_each_stored_row_has_its_fact_and_no_fact_lacks_its_row(
    round_: int, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed * 100 + round_)
    disk = Disk(f"bus-{round_}", round_)
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    await store.bus.join("push")
    await store.log.create(GARDEN, LogId("log-1"))
    disk.writes_left = chance.randint(1, 150)
    acked = await append_until_the_power_goes(store)
    await store.close()

    disk.cut_power()
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    rows, _ = await store.log.read(GARDEN, limit=10_000, max_bytes=2**30)
    found = await told(store)
    await store.close()

    assert found == [row.seq for row in rows]
    assert set(acked) <= set(found)


async def append_until_the_power_goes(store: SqliteStore) -> list[int]:
    acked: list[int] = []
    seq = 0
    while True:
        burst: list[tuple[Event, asyncio.Future[object]]] = []
        try:
            for _ in range(3):
                seq += 1
                row = event(seq)
                append = store.log.append(batch(row))
                burst.append((row, asyncio.ensure_future(append)))
                burst.append(
                    (row, asyncio.ensure_future(store.bus.publish([stored(row)], after=append)))
                )
            await asyncio.gather(*(future for _, future in burst))
        except Unavailable:
            await asyncio.gather(*(future for _, future in burst), return_exceptions=True)
            return acked
        acked += {row.seq for row, _ in burst}
