"""Brings a database to this program's shape by the numbered steps in migrations/."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import apsw

from storage.sqlite.connection import open_writer
from storage.sqlite.folder import DATABASE, FolderLock, NewerData, make_private

STEPS = Path(__file__).parent / "migrations"


def newest() -> int:
    return max(_steps())


def migrate(folder: Path) -> tuple[int, int]:
    """For the command line, with no server on the folder. Returns the versions before and after.

    Raises:
        DataInUse, NewerData, DataError.
    """
    lock = FolderLock(folder)
    try:
        make_private(folder / DATABASE)
        connection = open_writer(folder / DATABASE)
        try:
            return bring_up(connection, folder / DATABASE)
        finally:
            connection.close()
    finally:
        lock.release()


def bring_up(
    connection: apsw.Connection, path: Path | None, steps: dict[int, str] | None = None
) -> tuple[int, int]:
    """Run the steps the database lacks, each in its own transaction.

    An existing database is first copied to `<path>.before-N`, N being its version to come; no copy
    with `path` None.

    Raises:
        NewerData: it has steps that this program does not know.
    """
    steps = _steps() if steps is None else steps
    latest = max(steps)
    version = version_of(connection)
    check_version(version, latest)
    if version == latest:
        return version, latest
    if version > 0 and path is not None:
        copy_database(connection, path.with_name(f"{path.name}.before-{latest}"))
    for number in range(version + 1, latest + 1):
        with connection:  # a transaction
            connection.execute(f"{steps[number]}; PRAGMA user_version = {number}")
    return version, latest


def version_of(connection: apsw.Connection) -> int:
    found = connection.pragma("user_version")
    assert isinstance(found, int)
    return found


def check_version(version: int, latest: int) -> None:
    if version > latest:
        raise NewerData(
            f"The data was written by a newer hubbub (data version {version}, this program knows "
            f"{latest}). Start the newer program, or restore a backup made with this one."
        )


def copy_database(
    source: apsw.Connection,
    target: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    pages: int = 1024,
) -> None:
    """Copy one state of `source` into a new file, 0600, complete and synced when it returns."""
    target.unlink(missing_ok=True)
    make_private(target)
    copy = apsw.Connection(str(target))
    try:
        copy.execute("PRAGMA synchronous = FULL")
        with copy.backup("main", source, "main") as run:
            while not run.done:
                run.step(pages)
                progress(run.page_count - run.remaining, run.page_count)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()


def _steps() -> dict[int, str]:
    found = {}
    for file in STEPS.glob("*.sql"):
        match = re.match(r"(\d{4})_", file.name)
        assert match is not None
        found[int(match[1])] = file.read_text("utf-8")
    return found
