"""Opens the store on a data folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import apsw

from server.kernel.clock import Clock
from storage.api import Check, DirtyRooms
from storage.api.bus import BusLimits
from storage.sqlite.accounts import SqliteAccounts
from storage.sqlite.bus import Group, SqliteBus, end_leases, load_groups
from storage.sqlite.calls import SqliteCalls
from storage.sqlite.connection import open_writer
from storage.sqlite.folder import DATABASE, Beside, DataError, FolderLock, make_private
from storage.sqlite.log import SqliteLog
from storage.sqlite.migration import bring_up
from storage.sqlite.projections import SqliteProjections
from storage.sqlite.quality import SqliteQuality
from storage.sqlite.readers import Readers
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Writer


class SqliteStore:
    """Implements `storage.api.Store`. Made by `open_sqlite`."""

    def __init__(
        self,
        lock: FolderLock | Beside,
        writer: Writer,
        readers: Readers,
        *,
        clock: Clock,
        groups: Iterable[Group],
        bus_limits: BusLimits,
    ) -> None:
        self._lock = lock
        self._writer = writer
        self.commits = writer.commits
        self._readers = readers
        self._clock = clock
        self._closed = False
        self.log = SqliteLog(writer, readers)
        self.projections = SqliteProjections(writer, readers)
        self.accounts = SqliteAccounts(writer, readers)
        self.calls = SqliteCalls(writer, readers)
        self.call_quality = SqliteQuality(writer, readers)
        self.bus = SqliteBus(writer, readers, clock=clock, groups=groups, limits=bus_limits)
        self.joint = True
        self.dirty: DirtyRooms | None = None
        self.checks: Mapping[str, Check] = {"store": self.check}

    async def check(self) -> None:
        """Writes a row and waits for the disk. Raises Unavailable."""
        now_ms = self._clock.now_ms()

        def probe(tx: Transaction) -> None:
            tx.execute("INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?)", (now_ms,))

        await self._writer.submit(probe)

    async def close(self) -> None:
        """Commit what was submitted, end the threads, release the folder; once."""
        if self._closed:
            return
        self._closed = True
        await self._readers.close()
        await self._writer.close()
        self._lock.release()


async def open_sqlite(
    folder: Path,
    *,
    clock: Clock,
    readers: int = 2,
    vfs: str | None = None,
    beside: bool = False,
    bus_limits: BusLimits | None = None,
) -> SqliteStore:
    """Open the folder's database, making or migrating it as needed.

    `vfs`: an apsw VFS by name, without shared memory, for fault tests; the writer then also reads.
    `beside`: for accounts and dead letters only, while a server has the folder: SQLite's own locks
    keep order.

    Raises:
        DataInUse: another process has it. NewerData: written by a newer program.
        DataError: it cannot be created, opened or written.
    """
    lock: FolderLock | Beside = Beside() if beside else FolderLock(folder)
    path = folder / DATABASE
    try:
        make_private(path)
        connection = await asyncio.to_thread(open_writer, path, vfs)
        try:
            await asyncio.to_thread(bring_up, connection, path)
            groups = load_groups(connection)
            if not beside:
                end_leases(connection)
        except apsw.Error as error:
            connection.close()
            raise DataError(f"{path} cannot be brought up to date: {error}.") from None
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise
    writer = Writer(connection, None if vfs else path)
    return SqliteStore(
        lock,
        writer,
        Readers(path, writer, 0 if vfs else readers),
        clock=clock,
        groups=groups,
        bus_limits=bus_limits or BusLimits(),
    )
