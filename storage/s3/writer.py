"""One append: bytes become parts, what is left becomes the state's tail."""

from __future__ import annotations

from server.kernel.errors import TooLarge
from storage.api import NoSuchFile, UploadBusy
from storage.s3.bucket import Bucket
from storage.s3.faults import Absent
from storage.s3.objects import headers_of
from storage.s3.state import PART_BYTES, PART_NUMBERS, PartRow, file_key
from storage.s3.versions import Version, Versions


class Writer:
    """`whole`: the parts show only when `keep` is called; else each one at once.

    A part's number is taken by replacing the state, before the part is sent: another node that
    goes on from there never writes the same one, not even when this one's write arrives late.
    """

    def __init__(
        self, bucket: Bucket, versions: Versions, version: Version, *, whole: bool
    ) -> None:
        self._bucket = bucket
        self._versions = versions
        self._version = version
        self._whole = whole
        self._key = file_key(version.state.file.id)
        self._parts = version.state.parts
        self._rest = bytearray(version.tail)
        self._number = 0

    async def take(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            room = PART_BYTES - len(self._rest)
            self._rest += view[:room]
            view = view[room:]
            if len(self._rest) == PART_BYTES:
                await self._send()

    async def keep(self) -> Version:
        """All that was taken is durable and counts, when this returns."""
        version = self._version
        if self._parts != version.state.parts or self._rest != version.tail:
            state = version.state.changed(parts=self._parts)
            self._version = await self._versions.replace(version, state, bytes(self._rest))
        return self._version

    async def _send(self) -> None:
        number = self._number or await self._take_number()
        part = await self._put(number)
        self._parts, self._rest, self._number = (*self._parts, part), bytearray(), 0
        if not self._whole:
            self._number = number + 1
            state = self._version.state.changed(parts=self._parts, taken=self._number)
            self._version = await self._versions.replace(self._version, state, b"")

    async def _take_number(self) -> int:
        version = self._version
        multipart = version.state.multipart or await self._bucket.start_parts(
            self._key, headers_of(version.state.file)
        )
        state = version.state.changed(taken=version.state.taken + 1, multipart=multipart)
        try:
            self._version = await self._versions.replace(version, state, version.tail)
        except (UploadBusy, NoSuchFile):
            if not version.state.multipart:
                await self._bucket.drop_parts(self._key, multipart)
            raise
        return state.taken

    async def _put(self, number: int) -> PartRow:
        if number >= PART_NUMBERS:  # the last one is left for what finishes the file
            raise TooLarge("This upload broke off too often. Begin it anew.")
        multipart = self._version.state.multipart
        try:
            return await self._bucket.put_part(self._key, multipart, number, bytes(self._rest))
        except Absent:  # the store forgets parts by itself after a while
            await self._versions.remove(self._version.state.file.id)
            raise NoSuchFile() from None
