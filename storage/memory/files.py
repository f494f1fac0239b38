"""Files as bytes, for tests and for `dev` without a folder: nothing outlives the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from server.kernel.clock import Clock
from server.kernel.errors import Conflict
from server.kernel.ids import FileId
from storage.api import (
    Check,
    FileInfo,
    NoSuchFile,
    UploadBusy,
    WrongOffset,
    check_file,
    check_file_id,
)
from storage.intake import Intake
from storage.memory.gate import Gate

CHUNK = 256 * 1024


@dataclass
class _Upload:
    file: FileInfo
    touched_ms: int
    data: bytearray = field(default_factory=bytearray)
    busy: bool = False


@dataclass(frozen=True)
class _Finished:
    file: FileInfo
    at_ms: int
    data: bytes


class MemoryUploads:
    def __init__(self, finished: dict[FileId, _Finished], gate: Gate, clock: Clock) -> None:
        self._finished = finished
        self._gate = gate
        self._clock = clock
        self._open: dict[FileId, _Upload] = {}

    async def begin(self, file: FileInfo) -> None:
        check_file(file)
        self._gate.check()
        if file.id in self._open or file.id in self._finished:
            raise Conflict("That upload has begun already.")
        self._open[file.id] = _Upload(file, self._clock.now_ms())

    async def append(
        self, file_id: FileId, offset: int, chunks: AsyncIterator[bytes], *, whole: bool = False
    ) -> int:
        upload = self._get(file_id)
        if upload.busy:
            raise UploadBusy()
        if offset != len(upload.data):
            raise WrongOffset(len(upload.data))
        intake = Intake(chunks, upload.file.size_bytes - offset)
        upload.busy, came = True, bytearray()
        try:
            async for chunk in intake:
                self._get(file_id)
                came += chunk
            upload.data += came
        except Exception:
            if intake.giving and not whole:
                upload.data += came
            raise
        finally:
            upload.busy, upload.touched_ms = False, self._clock.now_ms()
        return len(self._get(file_id).data)

    async def offset(self, file_id: FileId) -> int:
        return len(self._get(file_id).data)

    async def complete(self, file_id: FileId) -> FileInfo:
        check_file_id(file_id)
        self._gate.check()
        if file_id in self._finished:
            return self._finished[file_id].file
        upload = self._get(file_id)
        if upload.busy:
            raise UploadBusy()
        if len(upload.data) != upload.file.size_bytes:
            raise WrongOffset(len(upload.data))
        del self._open[file_id]
        self._finished[file_id] = _Finished(upload.file, self._clock.now_ms(), bytes(upload.data))
        return upload.file

    async def abort(self, file_id: FileId) -> None:
        check_file_id(file_id)
        self._gate.check()
        self._open.pop(file_id, None)

    async def expire(self, older_than_s: float) -> list[FileId]:
        self._gate.check()
        before = self._clock.now_ms() - older_than_s * 1000
        old = [i for i, u in self._open.items() if u.touched_ms < before and not u.busy]
        for file_id in old:
            del self._open[file_id]
        return old

    def _get(self, file_id: FileId) -> _Upload:
        check_file_id(file_id)
        self._gate.check()
        upload = self._open.get(file_id)
        if upload is None:
            raise NoSuchFile()
        return upload


class MemoryFiles:
    def __init__(self, clock: Clock) -> None:
        self.gate = Gate()
        self._clock = clock
        self._finished: dict[FileId, _Finished] = {}
        self.uploads = MemoryUploads(self._finished, self.gate, clock)

    async def stat(self, file_id: FileId) -> FileInfo | None:
        check_file_id(file_id)
        self.gate.check()
        found = self._finished.get(file_id)
        return None if found is None else found.file

    async def read(
        self, file_id: FileId, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        check_file_id(file_id)
        self.gate.check()
        if file_id not in self._finished:
            raise NoSuchFile()
        data = self._finished[file_id].data
        stop = len(data) if end is None else min(end, len(data))
        for at in range(start, stop, CHUNK):
            yield data[at : min(at + CHUNK, stop)]

    def url(self, file_id: FileId, expires_s: int, *, name: str = "", mime: str = "") -> str | None:
        return None

    async def delete(self, file_id: FileId) -> None:
        check_file_id(file_id)
        self.gate.check()
        self._finished.pop(file_id, None)

    async def finished(self, older_than_s: float) -> AsyncIterator[FileId]:
        self.gate.check()
        before = self._clock.now_ms() - older_than_s * 1000
        for file_id in [i for i, f in self._finished.items() if f.at_ms < before]:
            yield file_id

    @property
    def checks(self) -> Mapping[str, Check]:
        return {"files": self._check}

    async def _check(self) -> None:
        self.gate.check()

    async def close(self) -> None:
        self.gate.closed = True
