"""One bucket: what the driver does in threads, with a time limit and a breaker around each call.

The driver has no public calls for conditional writes and single parts; those with a leading
underscore are the ones its own `put_object` is made of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import urllib3
from minio.datatypes import Part
from minio.error import S3Error

from server.kernel.clock import Clock
from server.kernel.config import S3
from server.kernel.errors import Unavailable
from storage.guard import Guard
from storage.s3.connection import client, pool, signer
from storage.s3.faults import CHANGED, Absent, StoreFault, sorted_out
from storage.s3.state import PartRow
from storage.threads import Held, Threads

_T = TypeVar("_T")
Headers = dict[str, str | list[str] | tuple[str]]
Response = urllib3.response.BaseHTTPResponse

THREADS = 8
FINISH_LIMITS = 6
"""Making one object of a file's parts may take this many times as long as another call."""
LIST_PAGE = 1_000
PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Found:
    """An object as a look at it tells. `meta`: names in lower case, without `x-amz-meta-`."""

    etag: str
    size: int
    mime: str
    meta: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    key: str
    at: datetime
    multipart: str = ""


class Bucket:
    """Raises Unavailable from every call, besides what each says.

    Made with a configuration that cannot be used it raises ValueError or OSError.
    """

    def __init__(self, config: S3, clock: Clock) -> None:
        self._name = config.bucket
        self._clock = clock
        self._threads = Threads("s3", THREADS)
        self._guard = Guard("The file store", clock, faults=(StoreFault,), limit_s=config.limit_s)
        self._limit_s = config.limit_s
        self._pool = pool(config)
        self._minio = client(config, self._pool)
        self._signer = signer(config, self._pool)
        self._conditional = False
        self.reason = ""
        """Why the last call failed that did: S3's code."""

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """The whole object and its etag; for small ones."""
        try:
            return await self._call(lambda: self._get(key))
        except Absent:
            return None

    async def head(self, key: str) -> Found | None:
        try:
            return await self._call(lambda: self._head(key))
        except Absent:
            return None

    async def put(
        self, key: str, data: bytes, headers: Mapping[str, str], *, if_etag: str | None = None
    ) -> str:
        """Returns the etag. `if_etag`: only over this version, "": only if there is none, None:
        always. Raises Changed, or Absent where there was to be a version and is none.
        """
        conditions = {"If-Match": if_etag} if if_etag else {"If-None-Match": "*"}
        sent: Headers = {**headers, **({} if if_etag is None else conditions)}
        put = partial(self._minio._put_object, self._name, key, data, sent)
        return (await self._call(put)).etag or ""

    async def delete(self, key: str) -> None:
        await self._call(lambda: self._minio.remove_object(self._name, key))

    async def open(self, key: str, start: int, count: int) -> Held[Response]:
        """`count` bytes (0: all) from `start`, to be read in threads. Raises Absent, OutOfRange."""
        get = partial(self._minio.get_object, self._name, key, start, count)
        return await self._guard.call(
            self._threads.acquire(lambda: self._noted(get), _drop_response)
        )

    async def read(self, response: Held[Response], count: int) -> bytes:
        return await self._guard.call(response.use(lambda r: self._noted(lambda: r.read(count))))

    async def keys(self, prefix: str) -> AsyncIterator[Listed]:
        """All that begin so, ascending, a page of 1,000 in memory."""
        after = ""
        while page := await self._call(partial(self._list, prefix, after)):
            for listed in page:
                yield listed
            after = page[-1].key

    async def start_parts(self, key: str, headers: Mapping[str, str]) -> str:
        create = partial(self._minio._create_multipart_upload, self._name, key, dict(headers))
        return await self._call(create)

    async def put_part(self, key: str, multipart: str, number: int, data: bytes) -> PartRow:
        """Raises Absent when the store has forgotten the multipart upload."""
        put = partial(self._minio._upload_part, self._name, key, data, None, multipart, number)
        return PartRow(number, await self._call(put), len(data))

    async def join_parts(self, key: str, multipart: str, parts: tuple[PartRow, ...]) -> None:
        """Raises Absent when that was done already, or the parts are forgotten."""
        rows = [Part(part.number, part.etag) for part in parts]
        join = partial(self._minio._complete_multipart_upload, self._name, key, multipart, rows)
        await self._call(join, limit_s=FINISH_LIMITS * self._limit_s)

    async def drop_parts(self, key: str, multipart: str) -> None:
        try:
            await self._call(
                lambda: self._minio._abort_multipart_upload(self._name, key, multipart)
            )
        except Absent:
            return

    async def open_parts(self, prefix: str) -> list[Listed]:
        """Multipart uploads that nobody finished, up to 1,000."""
        return await self._call(lambda: self._open_parts(prefix))

    def url(self, key: str, expires_s: int, headers: Mapping[str, str]) -> str:
        """Signed here; no call to the store. Dated by our clock."""
        at = datetime.fromtimestamp(self._clock.now_ms() / 1000).astimezone()
        return self._signer.get_presigned_url(
            "GET", self._name, key, timedelta(seconds=expires_s), dict(headers), request_date=at
        )

    async def prepare(self) -> None:
        """Make the bucket if it is missing, write to it, and see that conditions are kept: a store
        that ignores them would let two nodes overwrite each other. Raises Unavailable, with why.
        """
        try:
            await self._call(self._make)
        except Unavailable:
            raise Unavailable(f"The file store does not serve: {self.reason}.") from None

    def close(self) -> None:
        self._threads.close()
        self._pool.clear()

    async def _call(self, work: Callable[[], _T], *, limit_s: float | None = None) -> _T:
        return await self._guard.call(self._threads.run(lambda: self._noted(work)), limit_s=limit_s)

    def _noted(self, work: Callable[[], _T]) -> _T:
        try:
            return sorted_out(work)
        except StoreFault as fault:
            self.reason = str(fault)
            raise

    def _get(self, key: str) -> tuple[bytes, str]:
        response = self._minio.get_object(self._name, key)
        try:
            return response.read(), _etag(response.headers)
        finally:
            _drop_response(response)

    def _head(self, key: str) -> Found:
        found = self._minio.stat_object(self._name, key)
        mark = "x-amz-meta-"
        meta = {
            name.lower().removeprefix(mark): value
            for name, value in (found.metadata or {}).items()
            if name.lower().startswith(mark)
        }
        return Found(found.etag or "", found.size or 0, found.content_type or "", meta)

    def _list(self, prefix: str, after: str) -> list[Listed]:
        page: list[Listed] = []
        for found in self._minio.list_objects(
            self._name, prefix, recursive=True, start_after=after or None
        ):
            if found.object_name and found.last_modified:
                page.append(Listed(found.object_name, found.last_modified))
            if len(page) == LIST_PAGE:
                break
        return page

    def _open_parts(self, prefix: str) -> list[Listed]:
        found = self._minio._list_multipart_uploads(self._name, prefix=prefix, max_uploads=1_000)
        return [
            Listed(upload.object_name, upload.initiated_time, upload.upload_id)
            for upload in found.uploads
            if upload.initiated_time and upload.upload_id
        ]

    def _make(self) -> None:
        if not self._conditional and not self._minio.bucket_exists(self._name):
            self._minio.make_bucket(self._name)
        self._minio._put_object(self._name, PROBE, b"probe", None)
        if not self._conditional and self._overwrites():
            raise StoreFault("it ignores If-None-Match")
        self._conditional = True

    def _overwrites(self) -> bool:
        try:
            self._minio._put_object(self._name, PROBE, b"probe", {"If-None-Match": "*"})
        except S3Error as error:
            if error.code in CHANGED:
                return False
            raise
        return True


def _etag(headers: Mapping[str, str]) -> str:
    return headers.get("etag", "").replace('"', "")


def _drop_response(response: Response) -> None:
    """Read to its end its connection is used again, else it is closed."""
    response.close()
    response.release_conn()
