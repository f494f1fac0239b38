"""Backup of a running server and restore, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from storage.sqlite.connection import open_writer
from storage.sqlite.folder import DATABASE, DataError, FolderLock
from storage.sqlite.migration import check_version, copy_database, newest, version_of
from storage.sqlite.renewal import renew_logs

Progress = Callable[[int, int], None]
"""Called with (pages copied, pages in all)."""


def backup(folder: Path, target: Path, progress: Progress = lambda done, total: None) -> None:
    """Copy the folder's database as of now into the file `target`; a server may run on it.

    The copy is of one moment: a read transaction holds it while the server goes on writing.

    Raises:
        DataError: there is no database, or `target` exists or cannot be written.
    """
    path = folder / DATABASE
    if not path.exists():
        raise DataError(f"There is no {DATABASE} in {folder}.")
    if target.exists():
        raise DataError(f"{target} exists already; choose another name.")
    part = target.with_name(target.name + ".part")
    try:
        source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            source.set_busy_timeout(10_000)
            source.execute("BEGIN; SELECT count(*) FROM rooms")
            copy_database(source, part, progress)
            source.execute("COMMIT")
        finally:
            source.close()
        part.rename(target)
    except (apsw.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise DataError(f"The backup failed: {error}.") from None


def restore(
    source: Path,
    folder: Path,
    progress: Progress = lambda done, total: None,
    *,
    force: bool = False,
) -> None:
    """Put a backup into `folder`. Logs get new identities, so that clients start anew.

    With `force` a database that is there is kept beside it as `hubbub.db.before-restore`.

    Raises:
        DataInUse: a server runs on the folder. NewerData: made by a newer program.
        DataError: the folder is not empty, or the backup cannot be read.
    """
    if not source.is_file():
        raise DataError(f"There is no backup {source}.")
    lock = FolderLock(folder)
    try:
        path = folder / DATABASE
        if path.exists() and not force:
            raise DataError(f"{folder} has a database already. Use --force to put it aside.")
        _read_in(source, folder / "restore.part", progress)
        for suffix in ("", "-wal", "-shm"):
            old = folder / (DATABASE + suffix)
            if old.exists():
                old.rename(folder / f"{DATABASE}.before-restore{suffix}")
        (folder / "restore.part").rename(path)
    finally:
        lock.release()


def _read_in(source: Path, part: Path, progress: Progress) -> None:
    try:
        backup_copy = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            check_version(version_of(backup_copy), newest())
            copy_database(backup_copy, part, progress)
        finally:
            backup_copy.close()
        connection = open_writer(part)
        try:
            connection.execute("BEGIN IMMEDIATE")
            renew_logs(connection)
            connection.execute("COMMIT; PRAGMA journal_mode = DELETE")
        finally:
            connection.close()
    except (apsw.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{source} cannot be restored: {error}.") from None
