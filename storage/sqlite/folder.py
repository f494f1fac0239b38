"""The data folder: who may look into it (0700, files 0600), and one server at a time on it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

DATABASE = "hubbub.db"
LOCK = "hubbub.lock"


class DataError(Exception):
    """The data folder cannot be used; the text is for the operator and says what to do."""


class DataInUse(DataError):
    """Another process has the folder open."""


class NewerData(DataError):
    """The folder was written by a newer program than this one."""


class FolderLock:
    """Holds the folder for this process until `release` (or the process ends).

    Raises:
        DataInUse: another process holds it. DataError: it cannot be created or written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataError(f"The data folder {folder} cannot be used: {error.strerror}.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise DataInUse(
                f"The data folder {folder} is in use by another hubbub (process {holder}). "
                "Stop it first, or choose another folder with --data."
            ) from None
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)


class Beside:
    """In place of the lock, for who comes beside the server that holds the folder."""

    def release(self) -> None:
        return None


def make_private(path: Path) -> None:
    """Create the file, readable by its owner only; SQLite gives -wal and -shm its mode.

    One that is there is not opened: closing it would drop the locks of this process's connections.
    """
    try:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from None
