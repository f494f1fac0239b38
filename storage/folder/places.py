"""Where a file lies in the folder, and what makes a change of the folder durable."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from server.kernel.ids import FileId
from storage.api import FileInfo, NoSuchFile

INFO, DATA = "info", "data"
SHARDS = tuple(f"{number:02x}" for number in range(256))


class Place:
    """`uploads` or `files`. Names that begin with a dot are not files: on their way in or out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, file_id: FileId) -> Path:
        shard = hashlib.blake2b(file_id.encode(), digest_size=1).hexdigest()
        return self.folder / shard / file_id

    def ready_for(self, file_id: FileId) -> Path:
        """The same, its shard made if need be."""
        path = self.of(file_id)
        if not path.parent.exists():
            make_private(path.parent)
            sync_folder(self.folder)
        return path

    def listed(self, shard: str) -> Iterator[os.DirEntry[str]]:
        """What the shard holds, names with a dot too."""
        try:
            with os.scandir(self.folder / shard) as entries:
                yield from entries
        except FileNotFoundError:
            return


def make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """A new file with these bytes, on disk when this returns (its name: after `sync_folder`)."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def sync_folder(folder: Path) -> None:
    """Names made, moved or removed in it are on disk when this returns."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_info(folder: Path) -> FileInfo:
    """Raises NoSuchFile when there is none."""
    try:
        return msgspec.json.decode((folder / INFO).read_bytes(), type=FileInfo)
    except FileNotFoundError:
        raise NoSuchFile() from None


def remove(folder: Path) -> bool:
    """Take it away in one step, then its bytes; a crash between leaves a name with a dot. False:
    it was not there.
    """
    gone = folder.with_name(f".{os.urandom(8).hex()}")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return False
    sync_folder(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)
    return True


def touched_ms(path: Path | str) -> int | None:
    """When it was last written; None: it is not there."""
    try:
        return os.stat(path).st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
