"""A disk in memory, as an apsw VFS, that forgets at a power cut what was not synced.

Of the writes that were not synced some are kept, some lost and some torn (only some sectors of 512
bytes reach the disk), by seed: what a real disk may do. It can also be full or broken for a while.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import apsw

SECTOR = 512
_Write = tuple[int, bytes] | int
"""(offset, bytes), or the size the file was cut to."""


@dataclass
class _Content:
    """`now` as programs see it; `synced` and then `unsynced`, in order, as the disk has it."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    unsynced: list[_Write] = field(default_factory=list)

    def change(self, write: _Write) -> None:
        _apply(self.now, write)
        self.unsynced.append(write)

    def sync(self) -> None:
        self.synced = bytes(self.now)
        self.unsynced.clear()


class Disk(apsw.VFS):
    """Use its `name` as the VFS of a connection. `close` when no connection uses it any more."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name=name, base="")
        self.name = name
        self.files: dict[str, _Content] = {}
        self.power = 0
        """Grows with each cut: handles of before are dead."""
        self.writes_left: int | None = None
        """The power is cut when so many further writes and syncs were made."""
        self.failing: Callable[[], Exception] | None = None
        """Raised by every write while set: apsw.FullError, apsw.ReadOnlyError, ..."""
        self.syncs = 0
        self._random = random.Random(seed)

    def cut_power(self) -> None:
        """What was not synced is lost, kept or torn; nothing that was open works any more."""
        self.power += 1
        self.writes_left = None
        for content in self.files.values():
            survived = bytearray(content.synced)
            for write in content.unsynced:
                self._maybe(survived, write)
            content.now = survived
            content.sync()

    def count(self) -> None:
        """One more write or sync. Raises when the disk fails or the power goes."""
        if self.failing is not None:
            raise self.failing()
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left <= 0:
                self.cut_power()
                raise apsw.IOError("the power was cut")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        flags[1] = flags[0]
        return _Handle(self, self.files.setdefault(path, _Content()))

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self.files

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.count()
        self.files.pop(filename, None)

    def _maybe(self, content: bytearray, write: _Write) -> None:
        fate = self._random.random()
        if fate < 0.4:
            return
        if fate < 0.8 or isinstance(write, int):
            _apply(content, write)
            return
        offset, data = write
        for start in range(0, len(data), SECTOR):
            if self._random.random() < 0.5:
                _apply(content, (offset + start, data[start : start + SECTOR]))


class _Handle:
    """An open file. After a power cut every call fails."""

    def __init__(self, disk: Disk, content: _Content) -> None:
        self._disk = disk
        self._content = content
        self._power = disk.power

    def xRead(self, amount: int, offset: int) -> bytes:
        self._check()
        return bytes(self._content.now[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._check()
        self._disk.count()
        self._content.change((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        self._check()
        self._disk.count()
        self._content.change(size)

    def xSync(self, flags: int) -> None:
        self._check()
        self._disk.count()
        self._disk.syncs += 1
        self._content.sync()

    def xFileSize(self) -> int:
        self._check()
        return len(self._content.now)

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None: ...

    def _check(self) -> None:
        if self._power != self._disk.power:
            raise apsw.IOError("the power was cut")


def _apply(content: bytearray, write: _Write) -> None:
    if isinstance(write, int):
        del content[write:]
        content.extend(bytes(write - len(content)))
        return
    offset, data = write
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data
