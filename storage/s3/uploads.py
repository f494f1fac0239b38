"""Uploads in a bucket: whole parts go to a multipart upload, what is less stays in the state.

Several nodes may write to one upload; only that one goes on whose state was not replaced by
another's meanwhile. A state is read, bytes are stored beside it, and it is replaced if it is still
the same: so the offset jumps from one durable place to the next, whenever a node dies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from server.kernel.clock import Clock
from server.kernel.errors import Conflict, TooLarge, Unavailable
from server.kernel.ids import FileId
from storage.api import (
    FileInfo,
    NoSuchFile,
    UploadBusy,
    WrongOffset,
    check_file,
    check_file_id,
)
from storage.intake import Intake
from storage.s3.bucket import Bucket, Listed
from storage.s3.faults import Absent
from storage.s3.objects import headers_of, info_of
from storage.s3.state import MAX_BYTES, State, file_key, id_in
from storage.s3.versions import Version, Versions
from storage.s3.writer import Writer

APPENDS = 64
"""At once in this process: each holds a part in memory, and another while it is sent."""


class S3Uploads:
    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._versions = Versions(bucket)
        self._clock = clock
        self._writing: set[FileId] = set()

    async def begin(self, file: FileInfo) -> None:
        check_file(file)
        if file.size_bytes > MAX_BYTES:
            raise TooLarge(f"This store takes files of up to {MAX_BYTES} bytes.")
        if await self._bucket.head(file_key(file.id)) is not None:
            raise Conflict("That file is here already.")
        await self._versions.create(State(file).changed())

    async def append(
        self, file_id: FileId, offset: int, chunks: AsyncIterator[bytes], *, whole: bool = False
    ) -> int:
        check_file_id(file_id)
        if file_id in self._writing:
            raise UploadBusy()
        if len(self._writing) >= APPENDS:
            raise Unavailable("Too many uploads at once. Try again later.", retry_after_s=1.0)
        self._writing.add(file_id)
        try:
            version = await self._versions.load(file_id)
            if offset != version.offset:
                raise WrongOffset(version.offset)
            return (await self._fill(version, chunks, whole)).offset
        finally:
            self._writing.discard(file_id)

    async def offset(self, file_id: FileId) -> int:
        check_file_id(file_id)
        return await self._versions.offset(file_id)

    async def complete(self, file_id: FileId) -> FileInfo:
        check_file_id(file_id)
        if file_id in self._writing:
            raise UploadBusy()
        try:
            version = await self._versions.load(file_id)
        except NoSuchFile:
            return await self._finished(file_id)
        if version.offset != version.state.file.size_bytes:
            raise WrongOffset(version.offset)
        await self._finish(version)
        await self._versions.remove(file_id)
        return version.state.file

    async def abort(self, file_id: FileId) -> None:
        check_file_id(file_id)
        try:
            state = (await self._versions.load(file_id)).state
        except NoSuchFile:
            return
        await self._versions.remove(file_id)
        await self._drop_parts(state)

    async def expire(self, older_than_s: float) -> list[FileId]:
        """By the store's dates of its objects and our clock. Parts without a state, which a node
        left that died between the two, go as well where the store lists them.
        """
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        before = now - timedelta(seconds=older_than_s)
        aborted: list[FileId] = []
        async for listed in self._bucket.keys("uploads/"):
            file_id = id_in(listed.key)
            if listed.at < before and file_id not in self._writing:
                # A node may have died between finishing a file and forgetting its upload.
                if await self._bucket.head(file_key(file_id)) is None:
                    aborted.append(file_id)
                await self.abort(file_id)
        for listed in await self._bucket.open_parts("files/"):
            if listed.at < before:
                await self._drop_orphan(listed)
        return aborted

    async def _fill(self, start: Version, chunks: AsyncIterator[bytes], whole: bool) -> Version:
        intake = Intake(chunks, start.state.file.size_bytes - start.offset)
        writer = Writer(self._bucket, self._versions, start, whole=whole)
        try:
            async for chunk in intake:
                await writer.take(chunk)
        except Exception:
            if intake.giving and not whole:
                await writer.keep()
            raise
        return await writer.keep()

    async def _finish(self, version: Version) -> None:
        """A repeat, also beside another's, makes the same object of the same bytes."""
        state = version.state
        key, parts = file_key(state.file.id), state.parts
        if not parts:
            await self._bucket.put(key, version.tail, headers_of(state.file))
            await self._drop_parts(state)
            return
        try:
            if version.tail:  # no append was given this number, and none can be any more
                last = state.taken + 1
                parts += (await self._bucket.put_part(key, state.multipart, last, version.tail),)
            await self._bucket.join_parts(key, state.multipart, parts)
        except Absent:  # joined already, or the store forgot the parts: the upload ends then
            if await self._bucket.head(key) is None:
                await self._versions.remove(state.file.id)
                raise NoSuchFile() from None

    async def _finished(self, file_id: FileId) -> FileInfo:
        found = await self._bucket.head(file_key(file_id))
        if found is None:
            raise NoSuchFile()
        return info_of(file_id, found)

    async def _drop_parts(self, state: State) -> None:
        if state.multipart:
            await self._bucket.drop_parts(file_key(state.file.id), state.multipart)

    async def _drop_orphan(self, listed: Listed) -> None:
        try:
            state = (await self._versions.load(id_in(listed.key))).state
        except NoSuchFile:
            await self._bucket.drop_parts(listed.key, listed.multipart)
            return
        if state.multipart != listed.multipart:
            await self._bucket.drop_parts(listed.key, listed.multipart)
