"""The data folder: private, used by one process, migrated with a copy, backed up and restored."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import apsw
import pytest

from server.kernel.clock import Virtual
from server.kernel.ids import LogId, RoomId, Seq
from storage.sqlite import (
    DataError,
    DataInUse,
    NewerData,
    SqliteStore,
    backup,
    migrate,
    open_sqlite,
    restore,
)
from storage.sqlite.connection import open_writer
from storage.sqlite.migration import bring_up, newest
from tests.support.stores import GARDEN, batch, event, fill, seqs


async def opened(folder: Path) -> SqliteStore:
    return await open_sqlite(folder, clock=Virtual())


async def log_of(folder: Path) -> list[int]:
    store = await opened(folder)
    rows, _ = await store.log.read(GARDEN, limit=1_000)
    await store.close()
    return seqs(rows)


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_new_folder_and_its_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    store = await opened(folder)
    await fill(store, event(1))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}

    assert modes.pop("data") == 0o700
    assert set(modes) == {"hubbub.db", "hubbub.db-wal", "hubbub.db-shm", "hubbub.lock"}
    assert set(modes.values()) == {0o600}
    await store.close()


async def test_two_servers_never_open_one_folder(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    with pytest.raises(DataInUse, match=f"in use by another hubbub .process {os.getpid()}"):
        await opened(tmp_path)
    await store.close()

    await (await opened(tmp_path)).close()


async def test_a_folder_that_cannot_be_is_told_clearly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataError, match="cannot be used"):
        await opened(tmp_path / "file" / "data")


async def test_a_file_that_is_no_database_is_told_clearly(tmp_path: Path) -> None:
    (tmp_path / "hubbub.db").write_bytes(b"no database" * 1_000)

    with pytest.raises(DataError, match="cannot be opened"):
        await opened(tmp_path)


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store, event(1), event(2))
    heads = await store.log.heads([GARDEN])
    await store.close()

    store = await opened(tmp_path)

    assert await store.log.heads([GARDEN]) == heads
    assert await store.log.append(batch(event(3))) is None
    await store.close()


async def test_what_was_submitted_before_closing_is_stored(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await fill(store)

    waiting = [store.log.append(batch(event(seq))) for seq in range(1, 20)]
    await store.close()

    assert await asyncio.gather(*waiting) == [None] * 19
    assert await log_of(tmp_path) == [*range(1, 20)]


async def test_a_blanked_body_leaves_the_files(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    secret = "a-very-secret-body-" * 20
    await fill(store, event(1, content={"body": secret}), event(2))

    await store.log.blank(GARDEN, [Seq(1)], "deleted")
    await store.close()

    files = bytes_in(tmp_path)
    assert secret[:19].encode() not in files
    assert b"message 2" in files


async def test_a_blanked_body_leaves_the_files_of_a_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.checkpoints.BLANKED_S", 0.0)
    store = await opened(tmp_path)
    await fill(store, event(1, content={"body": "a-very-secret-body"}))
    await store.log.blank(GARDEN, [Seq(1)], "deleted")

    await store.check()
    await store.check()

    assert b"a-very-secret-body" not in bytes_in(tmp_path)
    await store.close()


def test_a_new_database_has_the_newest_version(tmp_path: Path) -> None:
    assert migrate(tmp_path) == (0, newest())
    assert migrate(tmp_path) == (newest(), newest())


def test_a_database_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "hubbub.db"
    connection = open_writer(path)
    bring_up(connection, path, {1: "CREATE TABLE t (x); INSERT INTO t VALUES (42)"})

    versions = bring_up(connection, path, {1: "", 2: "DROP TABLE t"})
    connection.close()

    kept = apsw.Connection(str(tmp_path / "hubbub.db.before-2"))
    assert versions == (1, 2)
    assert (kept.pragma("user_version"), kept.execute("SELECT x FROM t").get) == (1, 42)
    kept.close()


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "hubbub.db")
    steps = {1: "CREATE TABLE t (x)", 2: "CREATE TABLE u (x); CREATE TABLE t (x)"}

    with pytest.raises(apsw.SQLError):
        bring_up(connection, None, steps)

    assert connection.pragma("user_version") == 1
    assert connection.execute("SELECT count(*) FROM sqlite_schema").get == 1
    connection.close()


async def test_an_older_program_refuses_a_newer_folder(tmp_path: Path) -> None:
    migrate(tmp_path)
    connection = apsw.Connection(str(tmp_path / "hubbub.db"))
    connection.pragma("user_version", newest() + 1)
    connection.close()

    with pytest.raises(NewerData, match="written by a newer hubbub"):
        await opened(tmp_path)
    with pytest.raises(NewerData):
        migrate(tmp_path)


async def test_a_backup_of_a_running_server_is_of_one_moment(tmp_path: Path) -> None:
    store = await opened(tmp_path / "data")
    await fill(store, *(event(seq) for seq in range(1, 101)))
    seen: list[tuple[int, int]] = []
    copy = asyncio.create_task(
        asyncio.to_thread(backup, tmp_path / "data", tmp_path / "copy", lambda *p: seen.append(p))
    )

    head = 100
    while not copy.done():
        await store.log.append(batch(event(head + 1)))
        head += 1
    await copy
    await store.close()

    restore(tmp_path / "copy", tmp_path / "other")
    there = await log_of(tmp_path / "other")
    assert there == [*range(1, len(there) + 1)]
    assert 100 <= len(there) <= head
    assert seen[-1][0] == seen[-1][1] > 0
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600


async def test_a_restored_log_has_a_new_identity(tmp_path: Path) -> None:
    store = await opened(tmp_path / "data")
    await fill(store, event(1))
    backup(tmp_path / "data", tmp_path / "copy")
    await store.close()

    restore(tmp_path / "copy", tmp_path / "other")

    store = await opened(tmp_path / "other")
    head = (await store.log.heads([GARDEN]))[GARDEN]
    assert head.log_id != LogId("log-1")
    assert (await store.log.read(GARDEN, limit=1))[0][0].log_id == head.log_id
    await store.close()


async def test_a_restore_needs_force_over_a_database_and_keeps_it(tmp_path: Path) -> None:
    for name, room in (("one", "garden"), ("two", "kitchen")):
        store = await opened(tmp_path / name)
        await fill(store, event(1, room_id=room), room_id=RoomId(room))
        await store.close()
    backup(tmp_path / "one", tmp_path / "copy")

    with pytest.raises(DataError, match="--force"):
        restore(tmp_path / "copy", tmp_path / "two")
    restore(tmp_path / "copy", tmp_path / "two", force=True)

    store = await opened(tmp_path / "two")
    assert await store.log.room_ids() == [GARDEN]
    await store.close()
    kept = apsw.Connection(str(tmp_path / "two" / "hubbub.db.before-restore"))
    assert kept.execute("SELECT room_id FROM rooms").get == "kitchen"
    kept.close()


async def test_a_running_server_is_not_restored_over(tmp_path: Path) -> None:
    store = await opened(tmp_path / "data")
    backup(tmp_path / "data", tmp_path / "copy")

    with pytest.raises(DataInUse):
        restore(tmp_path / "copy", tmp_path / "data", force=True)

    await store.close()


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"no database" * 1_000)

    with pytest.raises(DataError, match="cannot be restored"):
        restore(tmp_path / "copy", tmp_path / "data")
    with pytest.raises(DataError, match="no backup"):
        restore(tmp_path / "missing", tmp_path / "data")

    assert not (tmp_path / "data" / "hubbub.db").exists()


def test_a_backup_needs_a_database_and_a_free_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no hubbub\.db"):
        backup(tmp_path, tmp_path / "copy")
    migrate(tmp_path)
    (tmp_path / "copy").write_text("mine")

    with pytest.raises(DataError, match="exists already"):
        backup(tmp_path, tmp_path / "copy")

    assert (tmp_path / "copy").read_text() == "mine"
