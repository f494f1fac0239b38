"""A disk that is full, read-only or broken: refusals, nothing lost, well again by itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from server.kernel.ids import RoomId
from storage.api import Store
from storage.sqlite import open_sqlite
from storage.sqlite.transaction import Transaction
from tests.support.power_cut import Disk
from tests.support.stores import GARDEN, batch, event, fill, seqs

BLOCK = {"body": "x" * 200_000}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def append_until_refused(store: Store) -> int:
    """Returns how many were acknowledged."""
    for stored in range(100):
        try:
            await store.log.append(batch(event(stored + 1, content=BLOCK)))
        except Unavailable:
            return stored
    raise AssertionError("the disk never filled up")


@pytest.mark.parametrize("failure", [apsw.FullError, apsw.ReadOnlyError, apsw.IOError])
async def test_a_failing_disk_refuses_and_loses_nothing(
    failure: Callable[[], Exception], tmp_path: Path
) -> None:
    disk = Disk(f"failing-{failure.__name__}", 1)  # type: ignore[attr-defined]
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    await fill(store, event(1))

    disk.failing = failure
    for attempt in (store.check, lambda: store.log.append(batch(event(2)))):
        with pytest.raises(Unavailable):
            await attempt()  # type: ignore[operator]
    disk.failing = None

    await store.check()
    assert seqs((await store.log.read(GARDEN, limit=9))[0]) == [1]
    assert await store.log.append(batch(event(2))) is None
    await store.close()


async def test_a_full_disk_refuses_until_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_500_000))
    store = await open_sqlite(small_disk / "data", clock=Virtual())
    await fill(store)

    stored = await append_until_refused(store)

    assert seqs((await store.log.read(GARDEN, limit=99, max_bytes=1 << 30))[0]) == [
        *range(1, stored + 1)
    ]
    ballast.unlink()

    assert await store.log.append(batch(event(stored + 1, content=BLOCK))) is None
    await store.check()
    await store.close()


async def test_a_job_that_fails_does_not_spoil_the_others(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, clock=Virtual())
    await fill(store)

    def bad(tx: Transaction) -> None:
        tx.execute("INSERT INTO probe (id, at) VALUES (7, 7)")
        tx.execute("INSERT INTO no_such_table VALUES (1)")

    jobs = [
        store.log.append(batch(event(1))),
        store._writer.submit(bad),
        store.log.append(batch(event(2))),
        store.log.append(batch(event(1, room_id=RoomId("none")), room_id=RoomId("none"))),
        store.log.append(batch(event(3))),
    ]
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)

    assert [outcome is None for outcome in outcomes] == [True, False, True, False, True]
    assert seqs((await store.log.read(GARDEN, limit=9))[0]) == [1, 2, 3]
    probes = await store._readers.run(lambda db: db.execute("SELECT count(*) FROM probe").get)
    assert probes == 0
    await store.close()


async def test_an_append_that_cannot_be_stored_does_not_spoil_the_others(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, clock=Virtual())
    await fill(store)
    broken = msgspec.structs.replace(event(3), content=msgspec.Raw(b"\xff"))

    jobs = [store.log.append(batch(*rows)) for rows in ([event(1)], [event(2), broken], [event(2)])]
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)

    assert [outcome is None for outcome in outcomes] == [True, False, True]
    assert (await store.log.read(GARDEN, limit=9))[0] == [event(1), event(2)]
    await store.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_crash_of_the_writer_is_told_to_all_who_wait(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, clock=Virtual())
    await fill(store)

    def crash(tx: Transaction) -> None:
        raise SystemError("a bug of ours")

    waiting = [store._writer.submit(crash), store.log.append(batch(event(1)))]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    with pytest.raises(Unavailable):
        await store.check()
    await store.close()
