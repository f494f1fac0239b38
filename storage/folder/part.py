"""The bytes of an upload that is not finished yet."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from storage.api import NoSuchFile, UploadBusy
from storage.folder.places import DATA, read_info, sync_folder, write_all, write_private

MARK = "mark"
"""Says where an all-or-nothing append began: what is behind it does not count."""


class Part:
    """Opened and locked, against other processes too. All methods block.

    Raises:
        NoSuchFile: there is no such upload. UploadBusy: somebody else has it open.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = read_info(folder)
        try:
            self._fd = os.open(folder / DATA, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchFile() from None
        try:
            self._lock()
            self._forget_half()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def mark(self) -> None:
        """From here on it is all or nothing, until `keep` or `drop`."""
        write_private(self._folder / MARK, b"%d" % self.size)
        sync_folder(self._folder)

    def write(self, data: bytes | bytearray) -> None:
        """Raises NoSuchFile when the upload was aborted meanwhile."""
        self._check_there()
        write_all(self._fd, data)

    def keep(self, at_ms: int) -> int:
        """What was written is durable when this returns. Returns the size."""
        os.utime(self._fd, ns=(at_ms * 1_000_000,) * 2)
        os.fsync(self._fd)
        (self._folder / MARK).unlink(missing_ok=True)
        self._check_there()
        return self.size

    def drop(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        os.fsync(self._fd)
        (self._folder / MARK).unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._fd)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UploadBusy() from None
        self._check_there()

    def _forget_half(self) -> None:
        """A process that died left its mark."""
        start = marked(self._folder)
        if start is not None:
            self.drop(start)

    def _check_there(self) -> None:
        if os.fstat(self._fd).st_nlink == 0 or not (self._folder / DATA).exists():
            raise NoSuchFile()


def marked(folder: Path) -> int | None:
    """None: no mark, or one that a crash left empty, before anything was written behind it."""
    try:
        return int((folder / MARK).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
