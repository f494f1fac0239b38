"""Uploads in a folder: bytes are appended to a file, finishing it is a rename."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec

from server.kernel.clock import Clock
from server.kernel.errors import Conflict
from server.kernel.ids import FileId
from storage.api import (
    FileInfo,
    NoSuchFile,
    UploadBusy,
    WrongOffset,
    check_file,
    check_file_id,
)
from storage.folder.part import Part, marked
from storage.folder.places import (
    DATA,
    INFO,
    SHARDS,
    Place,
    make_private,
    read_info,
    remove,
    sync_folder,
    touched_ms,
    write_private,
)
from storage.guard import Guard
from storage.intake import Intake
from storage.threads import Held, Threads

_P = ParamSpec("_P")
_T = TypeVar("_T")

WRITE_BYTES = 1024 * 1024
"""Gathered before a thread writes them: a hop to a thread costs as much as writing 100 KiB."""


class FolderUploads:
    def __init__(
        self, uploads: Place, files: Place, *, threads: Threads, guard: Guard, clock: Clock
    ) -> None:
        self._uploads = uploads
        self._files = files
        self._threads = threads
        self._guard = guard
        self._clock = clock

    async def begin(self, file: FileInfo) -> None:
        check_file(file)
        await self._run(self._begin, file)

    async def append(
        self, file_id: FileId, offset: int, chunks: AsyncIterator[bytes], *, whole: bool = False
    ) -> int:
        check_file_id(file_id)
        part = await self._guard.call(
            self._threads.acquire(lambda: self._open_at(file_id, offset, whole), Part.close)
        )
        try:
            return await self._fill(part, chunks, whole)
        finally:
            part.close()

    async def offset(self, file_id: FileId) -> int:
        check_file_id(file_id)
        return await self._run(self._offset, file_id)

    async def complete(self, file_id: FileId) -> FileInfo:
        check_file_id(file_id)
        return await self._run(self._complete, file_id)

    async def abort(self, file_id: FileId) -> None:
        check_file_id(file_id)
        await self._run(remove, self._uploads.of(file_id))

    async def expire(self, older_than_s: float) -> list[FileId]:
        before_ms = self._clock.now_ms() - older_than_s * 1000
        aborted: list[FileId] = []
        for shard in SHARDS:
            aborted += await self._run(self._expire, shard, before_ms)
        return aborted

    async def _run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._guard.call(self._threads.run(work, *args, **kwargs))

    async def _fill(self, part: Held[Part], chunks: AsyncIterator[bytes], whole: bool) -> int:
        size, room = await self._use(part, lambda p: (p.size, p.file.size_bytes - p.size))
        intake, waiting = Intake(chunks, room), bytearray()
        try:
            async for chunk in intake:
                waiting += chunk
                if len(waiting) >= WRITE_BYTES:
                    full, waiting = waiting, bytearray()
                    await self._use(part, partial(_write, data=full))
        except Exception:
            if whole:
                await self._use(part, lambda p: p.drop(size))
            elif intake.giving:
                await self._use(part, lambda p: self._keep(p, waiting))
            raise
        return await self._use(part, lambda p: self._keep(p, waiting))

    async def _use(self, part: Held[Part], work: Callable[[Part], _T]) -> _T:
        return await self._guard.call(part.use(work))

    def _keep(self, part: Part, rest: bytearray) -> int:
        part.write(rest)
        return part.keep(self._clock.now_ms())

    def _begin(self, file: FileInfo) -> None:
        path = self._uploads.ready_for(file.id)
        if self._files.of(file.id).exists():
            raise Conflict("That file is here already.")
        new = path.with_name(f".{os.urandom(8).hex()}")
        make_private(new)
        write_private(new / INFO, msgspec.json.encode(file))
        write_private(new / DATA, b"")
        os.utime(new / DATA, ns=(self._clock.now_ms() * 1_000_000,) * 2)
        sync_folder(new)
        try:
            new.rename(path)
        except OSError as error:
            remove(new)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise Conflict("That upload has begun already.") from None
        sync_folder(path.parent)

    def _open_at(self, file_id: FileId, offset: int, whole: bool) -> Part:
        part = Part(self._uploads.of(file_id))
        try:
            if part.size != offset:
                raise WrongOffset(part.size)
            if whole:
                part.mark()
        except BaseException:
            part.close()
            raise
        return part

    def _offset(self, file_id: FileId) -> int:
        folder = self._uploads.of(file_id)
        start = marked(folder)
        try:
            return os.stat(folder / DATA).st_size if start is None else start
        except FileNotFoundError:
            raise NoSuchFile() from None

    def _complete(self, file_id: FileId) -> FileInfo:
        path, goal = self._uploads.of(file_id), self._files.ready_for(file_id)
        try:
            part = Part(path)
        except NoSuchFile:
            return read_info(goal)
        try:
            if part.size != part.file.size_bytes:
                raise WrongOffset(part.size)
            part.keep(self._clock.now_ms())
            path.rename(goal)
        except FileNotFoundError:
            raise NoSuchFile() from None
        finally:
            part.close()
        sync_folder(goal.parent)
        sync_folder(path.parent)
        return part.file

    def _expire(self, shard: str, before_ms: float) -> list[FileId]:
        for place in (self._uploads, self._files):
            for entry in place.listed(shard):
                if entry.name.startswith(".") and _older(touched_ms(entry.path), before_ms):
                    remove(place.folder / shard / entry.name)
        return [
            FileId(entry.name)
            for entry in list(self._uploads.listed(shard))
            if _older(touched_ms(f"{entry.path}/{DATA}"), before_ms)
            and self._abort_idle(FileId(entry.name))
        ]

    def _abort_idle(self, file_id: FileId) -> bool:
        try:
            part = Part(self._uploads.of(file_id))
        except (UploadBusy, NoSuchFile):
            return False
        try:
            return remove(self._uploads.of(file_id))
        finally:
            part.close()


def _write(part: Part, data: bytearray) -> None:
    part.write(data)


def _older(at_ms: int | None, before_ms: float) -> bool:
    return at_ms is not None and at_ms < before_ms
