"""Files: uploads that go on where they stopped, and reading what is finished.

A file's bytes never change once it is finished. Who may read it is not known here. All methods
raise `Invalid` for an id that cannot be one (it names no path), whatever else they raise.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from server.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from server.kernel.ids import FileId
from storage.api.store import Check

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")
_MIME = re.compile(r"[!-~]{1,64}/[ -~]{1,63}\Z")
NAME_CHARS = 255


class FileInfo(msgspec.Struct, frozen=True):
    """What a file is. `name`: as its owner called it, for a person to read; never a path here."""

    id: FileId
    size_bytes: int
    name: str = ""
    mime: str = "application/octet-stream"


class WrongOffset(Conflict):
    """The upload goes on at `offset`, not where the call said."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"This upload continues at byte {offset}.", data={"offset": offset})
        self.offset = offset


class UploadBusy(Conflict):
    """Another append is under way, here or on another node. Nothing of this one was kept."""

    def __init__(self) -> None:
        super().__init__("This upload is being written already. Ask for its offset and go on.")


class PastSize(TooLarge):
    """More bytes than the upload was begun for."""

    def __init__(self) -> None:
        super().__init__("That is more than the size this upload was begun with.")


class NoSuchFile(NotFound):
    """No upload, or no finished file, has that id."""

    def __init__(self) -> None:
        super().__init__("There is no such upload or file.")


class Uploads(Protocol):
    """Files on their way in, made for tus 1.0: pieces of any size, in order, from any node.

    An upload survives a restart of everything. A store may forget one that was untouched for a
    day by itself (`expire` is there so that all do).
    """

    async def begin(self, file: FileInfo) -> None:
        """Raises Conflict when that id was begun or finished before, TooLarge when the store
        cannot hold such a size, Invalid when name or mime cannot be kept (`check_file`).
        """
        ...

    async def append(
        self, file_id: FileId, offset: int, chunks: AsyncIterator[bytes], *, whole: bool = False
    ) -> int:
        """Add bytes at `offset`. Returns the offset up to which all is durable now: the end of
        what was given, however small it was.

        Memory stays below 32 MiB however much comes. When `chunks` raises, what had come before is
        made durable first (a client that lost its line need not send it again), then the exception
        goes on. After a crash, and after Unavailable, `offset` tells what is left. How long
        `chunks` may take is the caller's to limit.

        Args:
            whole: all or nothing, for pieces with a checksum: when `chunks` raises or the process
                dies the offset is where it was.

        Raises:
            WrongOffset: `offset` is not where the upload stands; it carries the right one.
            UploadBusy: another append is under way: of two at once only one is stored.
            PastSize: more bytes than the file's size; the chunk that would pass it is not kept.
            NoSuchFile: not begun, finished already, or aborted (even while this was under way).
            Unavailable: also past a bound of appends at once in this process.
        """
        ...

    async def offset(self, file_id: FileId) -> int:
        """What is durable; a lower bound while an append is under way. Raises NoSuchFile."""
        ...

    async def complete(self, file_id: FileId) -> FileInfo:
        """Make it a finished file, in one step that survives a crash; a repeat answers the same.
        Raises WrongOffset while bytes are missing, UploadBusy, NoSuchFile.
        """
        ...

    async def abort(self, file_id: FileId) -> None:
        """Forget it and its bytes; an append under way ends with NoSuchFile. A finished file stays,
        an unknown one is no error.
        """
        ...

    async def expire(self, older_than_s: float) -> list[FileId]:
        """Abort what nobody has touched for that long, and sweep what crashes left behind."""
        ...


class Files(Protocol):
    """A store of files."""

    @property
    def uploads(self) -> Uploads: ...

    async def stat(self, file_id: FileId) -> FileInfo | None:
        """None: there is no such finished file."""
        ...

    def read(self, file_id: FileId, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` up to, not including, `end` (None, or past the size: to the end) in chunks
        of at most 256 KiB. Raises NoSuchFile before the first chunk. Close it (`aclose`) when you
        stop early.
        """
        ...

    def url(self, file_id: FileId, expires_s: int, *, name: str = "", mime: str = "") -> str | None:
        """An address that gives the file to whoever has it, without a login, honouring Range, for
        `expires_s` seconds (1..604,800), as an attachment. None: this store has none, stream it.
        Made without a look at the store: the file may be missing.
        """
        ...

    async def delete(self, file_id: FileId) -> None:
        """Remove a finished file. An unknown one is no error."""
        ...

    def finished(self, older_than_s: float) -> AsyncIterator[FileId]:
        """Files finished longer ago than that, in no order: for the sweep of those that nothing
        refers to.
        """
        ...

    @property
    def checks(self) -> Mapping[str, Check]: ...

    async def close(self) -> None: ...


def check_file_id(file_id: str) -> None:
    """Raises Invalid for what could be anything but one name in a folder or bucket."""
    if _ID.match(file_id) is None:
        raise Invalid("That is not the id of a file.", field="file_id")


def check_file(file: FileInfo) -> None:
    """Raises Invalid for what a store could not keep with a file."""
    check_file_id(file.id)
    if file.size_bytes < 0:
        raise Invalid("A file has 0 bytes or more.", field="size_bytes")
    if len(file.name) > NAME_CHARS or not _is_text(file.name):
        raise Invalid(f"A file's name has at most {NAME_CHARS} characters.", field="name")
    if _MIME.match(file.mime) is None:
        raise Invalid("A file's type looks like image/png.", field="mime")


def _is_text(name: str) -> bool:
    """No lone surrogates: they have no UTF-8. No control characters: they would end a header."""
    return not any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in name)
