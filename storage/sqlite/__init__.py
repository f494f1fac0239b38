"""The store in one SQLite file: one writer thread with group commit, readers beside it.

    store = await open_sqlite(Path("data"), clock=System())
    ...
    await store.close()

`backup`, `restore` and `migrate` are plain calls for the command line.
"""

from storage.sqlite.copies import backup, restore
from storage.sqlite.folder import DataError, DataInUse, NewerData
from storage.sqlite.migration import migrate
from storage.sqlite.store import SqliteStore, open_sqlite

__all__ = [
    "DataError",
    "DataInUse",
    "NewerData",
    "SqliteStore",
    "backup",
    "migrate",
    "open_sqlite",
    "restore",
]
