"""Finished files in a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

from server.kernel.clock import Clock
from server.kernel.config import S3
from server.kernel.errors import Unavailable
from server.kernel.ids import FileId
from server.kernel.logs import get_logger
from storage.api import Check, FileInfo, NoSuchFile, check_file_id
from storage.s3.bucket import Bucket
from storage.s3.faults import Absent, OutOfRange
from storage.s3.objects import answer_headers, info_of
from storage.s3.state import file_key, id_in
from storage.s3.uploads import S3Uploads

CHUNK = 256 * 1024

log = get_logger(__name__)


async def open_s3(config: S3, *, clock: Clock) -> S3Files:
    """A store that does not answer now is no error: its calls are Unavailable until it does.

    Raises:
        Unavailable: the configuration cannot be used; the text is for the operator.
    """
    try:
        bucket = Bucket(config, clock)
    except (OSError, ValueError) as error:
        raise Unavailable(f"[s3] cannot be used: {error}.") from None
    try:
        await bucket.prepare()
    except Unavailable:
        log.warning("files.unavailable", reason=bucket.reason)
    return S3Files(bucket, clock)


class S3Files:
    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock
        self.uploads = S3Uploads(bucket, clock)

    async def stat(self, file_id: FileId) -> FileInfo | None:
        check_file_id(file_id)
        found = await self._bucket.head(file_key(file_id))
        return None if found is None else info_of(file_id, found)

    async def read(
        self, file_id: FileId, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        check_file_id(file_id)
        if end is not None and end <= start:  # S3 has no empty range
            if await self._bucket.head(file_key(file_id)) is None:
                raise NoSuchFile()
            return
        try:
            count = 0 if end is None else end - start
            response = await self._bucket.open(file_key(file_id), start, count)
        except Absent:
            raise NoSuchFile() from None
        except OutOfRange:
            return
        try:
            while chunk := await self._bucket.read(response, CHUNK):
                yield chunk
        finally:
            response.close()

    def url(self, file_id: FileId, expires_s: int, *, name: str = "", mime: str = "") -> str | None:
        check_file_id(file_id)
        return self._bucket.url(file_key(file_id), expires_s, answer_headers(name, mime))

    async def delete(self, file_id: FileId) -> None:
        check_file_id(file_id)
        await self._bucket.delete(file_key(file_id))

    async def finished(self, older_than_s: float) -> AsyncIterator[FileId]:
        """By the store's dates of its objects and our clock."""
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        before = now - timedelta(seconds=older_than_s)
        async for listed in self._bucket.keys("files/"):
            if listed.at < before:
                yield id_in(listed.key)

    @property
    def checks(self) -> Mapping[str, Check]:
        return {"s3": self._bucket.prepare}

    async def close(self) -> None:
        self._bucket.close()
