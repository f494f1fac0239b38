"""Finished files in a folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import FileId
from storage.api import Check, FileInfo, NoSuchFile, check_file_id
from storage.folder.places import (
    DATA,
    SHARDS,
    Place,
    make_private,
    read_info,
    remove,
    touched_ms,
    write_private,
)
from storage.folder.uploads import FolderUploads
from storage.guard import Guard
from storage.threads import Threads

CHUNK = 256 * 1024
THREADS = 8
LIMIT_S = 30.0
"""A disk that does not answer for this long is broken, not slow."""


async def open_folder_files(folder: Path, *, clock: Clock) -> FolderFiles:
    """Raises Unavailable, with a text for the operator, when it cannot be made or written."""
    files = FolderFiles(folder, clock)
    try:
        await files.prepare()
    except BaseException:
        await files.close()
        raise
    return files


class FolderFiles:
    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._place = Place(folder / "files")
        self._incoming = Place(folder / "uploads")
        self._clock = clock
        self._threads = Threads("files", THREADS)
        self._guard = Guard("The file store", clock, faults=(OSError,), limit_s=LIMIT_S)
        self.uploads = FolderUploads(
            self._incoming, self._place, threads=self._threads, guard=self._guard, clock=clock
        )

    async def prepare(self) -> None:
        await self._threads.run(self._prepare)

    async def stat(self, file_id: FileId) -> FileInfo | None:
        check_file_id(file_id)
        return await self._guard.call(self._threads.run(self._stat, file_id))

    async def read(
        self, file_id: FileId, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        check_file_id(file_id)
        held = await self._guard.call(self._threads.acquire(lambda: self._open(file_id), os.close))
        try:
            while end is None or start < end:
                count = CHUNK if end is None else min(CHUNK, end - start)
                chunk = await self._guard.call(
                    held.use(partial(_read_at, count=count, start=start))
                )
                if not chunk:
                    return
                start += len(chunk)
                yield chunk
        finally:
            held.close()

    def url(self, file_id: FileId, expires_s: int, *, name: str = "", mime: str = "") -> str | None:
        return None

    async def delete(self, file_id: FileId) -> None:
        check_file_id(file_id)
        await self._guard.call(self._threads.run(remove, self._place.of(file_id)))

    async def finished(self, older_than_s: float) -> AsyncIterator[FileId]:
        before_ms = self._clock.now_ms() - older_than_s * 1000
        for shard in SHARDS:
            for file_id in await self._guard.call(
                self._threads.run(self._finished, shard, before_ms)
            ):
                yield file_id

    @property
    def checks(self) -> Mapping[str, Check]:
        return {"files": self._check}

    async def close(self) -> None:
        self._threads.close()

    async def _check(self) -> None:
        try:
            await self._guard.call(self._threads.run(self._probe))
        except Unavailable:
            raise Unavailable(f"The folder {self._folder} cannot be written.") from None

    def _prepare(self) -> None:
        try:
            for folder in (self._folder, self._place.folder, self._incoming.folder):
                make_private(folder)
            self._probe()
        except OSError as error:
            raise Unavailable(
                f"The folder {self._folder} cannot be used for files: {error.strerror}."
            ) from None

    def _probe(self) -> None:
        path = self._folder / ".check"
        write_private(path, b"ok")

    def _stat(self, file_id: FileId) -> FileInfo | None:
        try:
            return read_info(self._place.of(file_id))
        except NoSuchFile:
            return None

    def _open(self, file_id: FileId) -> int:
        try:
            return os.open(self._place.of(file_id) / DATA, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchFile() from None

    def _finished(self, shard: str, before_ms: float) -> list[FileId]:
        found = []
        for entry in self._place.listed(shard):
            at_ms = touched_ms(f"{entry.path}/{DATA}")
            if not entry.name.startswith(".") and at_ms is not None and at_ms < before_ms:
                found.append(FileId(entry.name))
        return found


def _read_at(fd: int, count: int, start: int) -> bytes:
    return os.pread(fd, count, start)
