"""States of uploads as they are stored: read, and replaced only by who read them last."""

from __future__ import annotations

from dataclasses import dataclass

from server.kernel.errors import Conflict
from server.kernel.ids import FileId
from storage.api import NoSuchFile, UploadBusy
from storage.s3.bucket import Bucket
from storage.s3.faults import Absent, Changed
from storage.s3.state import State, decode, encode, state_key


@dataclass(frozen=True, slots=True)
class Version:
    """A state with its last bytes, as it was read or stored."""

    state: State
    tail: bytes
    etag: str

    @property
    def offset(self) -> int:
        return self.state.parts_bytes + len(self.tail)


class Versions:
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def load(self, file_id: FileId) -> Version:
        """Raises NoSuchFile."""
        found = await self._bucket.get(state_key(file_id))
        if found is None:
            raise NoSuchFile()
        return Version(*decode(found[0]), found[1])

    async def offset(self, file_id: FileId) -> int:
        """Without the bytes. Raises NoSuchFile."""
        found = await self._bucket.head(state_key(file_id))
        if found is None:
            raise NoSuchFile()
        return int(found.meta["offset"])

    async def create(self, state: State) -> None:
        """Raises Conflict when there is one."""
        try:
            await self._store(state, b"", if_etag="")
        except Changed:
            if (await self.load(state.file.id)).state.token != state.token:
                raise Conflict("That upload has begun already.") from None

    async def replace(self, old: Version, state: State, tail: bytes) -> Version:
        """Raises UploadBusy when another was stored since, NoSuchFile when it is gone.

        The store may refuse the repeat of a write that it took and whose answer was lost: the
        token tells.
        """
        try:
            return await self._store(state, tail, if_etag=old.etag)
        except Absent:
            raise NoSuchFile() from None
        except Changed:
            there = await self.load(state.file.id)
            if there.state.token != state.token:
                raise UploadBusy() from None
            return there

    async def remove(self, file_id: FileId) -> None:
        await self._bucket.delete(state_key(file_id))

    async def _store(self, state: State, tail: bytes, *, if_etag: str) -> Version:
        headers = {"x-amz-meta-offset": str(state.parts_bytes + len(tail))}
        etag = await self._bucket.put(
            state_key(state.file.id), encode(state, tail), headers, if_etag=if_etag
        )
        return Version(state, tail, etag)
