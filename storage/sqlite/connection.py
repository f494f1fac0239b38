"""Connections, and one way to ask: whole answers in one step.

Every `sqlite3_step` gives up the interpreter lock and has to get it back from a busy event loop, up
to 5 ms a time. So queries are wrapped to give all rows as one JSON array: one step for each query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import apsw.ext
import msgspec

from server.kernel.errors import Unavailable
from storage.sqlite.folder import DataError

Params = Sequence[Any]
_T = TypeVar("_T")

CANNOT_SERVE = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.ConnectionClosedError,
    apsw.InterruptError,
)
"""What the disk or the machine did, not the statement."""


def unavailable() -> Unavailable:
    return Unavailable("The store cannot serve now. Try again later.", retry_after_s=1)


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes: WAL, fsync at each commit, deleted content overwritten."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=200)
        connection.set_busy_timeout(5_000)
        if vfs is not None:  # a VFS in Python has no shared memory
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA temp_store = MEMORY")
    except apsw.Error as error:
        raise DataError(f"{path} cannot be opened: {error}.") from None
    return connection


def open_beside(path: Path) -> apsw.Connection:
    """A second connection that may checkpoint while the writer goes on."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def open_reader(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5_000)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA mmap_size = 268435456")
    return connection


def ask(connection: apsw.Connection, sql: str, params: Params = ()) -> list[Any]:
    """All rows of a query, lists of JSON values, by one step.

    `sql` is a single SELECT. Blobs must be asked for as hex(...).
    """
    found = connection.execute(_wrapped(connection, sql), params).get
    assert isinstance(found, str)
    rows: list[Any] = msgspec.json.decode(found)
    return rows


def one(connection: apsw.Connection, sql: str, params: Params = ()) -> Any:
    """The first column of the first row, or None."""
    rows = ask(connection, sql, params)
    return rows[0][0] if rows else None


def listed(values: Iterable[Any]) -> str:
    """A parameter for json_each(?)."""
    return msgspec.json.encode(list(values)).decode()


def as_struct(kind: type[_T], row: Sequence[Any], fields: Sequence[str]) -> _T:
    """A row as a Struct; 0 and 1 become booleans where it wants them."""
    return msgspec.convert(dict(zip(fields, row, strict=True)), kind, strict=False)


_wrappers: dict[str, str] = {}


def _wrapped(connection: apsw.Connection, sql: str) -> str:
    """`sql` as the inner query; the number of its columns is asked of SQLite once for each text."""
    known = _wrappers.get(sql)
    if known is None:
        width = apsw.ext.query_info(connection, sql).description
        names = ", ".join(f"c{i}" for i in range(len(width)))
        known = f"WITH q({names}) AS ({sql}) SELECT json_group_array(json_array({names})) FROM q"
        _wrappers[sql] = known
    return known
