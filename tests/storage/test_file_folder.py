"""The folder of files: processes that die, processes that share it, who may look into it."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from storage.api import UploadBusy
from storage.folder import FolderFiles, open_folder_files
from tests.support.file_stores import a_file, clock_now, content, given, pattern, put

ROOT = Path(__file__).parents[2]
DIES = """
import asyncio, os, sys
from pathlib import Path
from server.kernel.clock import System
from server.kernel.ids import FileId
from storage.folder import open_folder_files
from tests.support.file_stores import pattern

async def chunks():
    for start in range(0, 3 << 20, 1 << 16):
        yield pattern(1 << 16, start)
    os.kill(os.getpid(), 9)

async def main():
    files = await open_folder_files(Path(sys.argv[1]), clock=System())
    await files.uploads.append(FileId("big"), 0, chunks(), whole=sys.argv[2] == "whole")

asyncio.run(main())
"""


@pytest.fixture
def clock() -> Virtual:
    return clock_now()


@pytest.fixture
async def files(tmp_path: Path, clock: Virtual) -> AsyncIterator[FolderFiles]:
    opened = await open_folder_files(tmp_path / "files", clock=clock)
    yield opened
    await opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pieces", "whole"])
async def test_an_upload_goes_on_after_its_process_was_killed(
    files: FolderFiles, tmp_path: Path, kind: str
) -> None:
    size = 4 << 20
    await files.uploads.begin(a_file(size, id="big"))
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES, str(tmp_path / "files"), kind, cwd=ROOT
    )
    assert await died.wait() == -9

    at = await files.uploads.offset(a_file(0, id="big").id)
    rest = [pattern(1 << 16, start) for start in range(at, size, 1 << 16)]
    await files.uploads.append(a_file(0, id="big").id, at, given(*rest))
    done = await files.uploads.complete(a_file(0, id="big").id)

    assert at == (0 if kind == "whole" else 3 << 20)
    assert await content(files, done.id) == pattern(size)


async def test_two_processes_on_one_folder_do_not_write_one_upload_at_once(
    files: FolderFiles, tmp_path: Path, clock: Virtual
) -> None:
    other = await open_folder_files(tmp_path / "files", clock=clock)
    file = a_file(4)
    await files.uploads.begin(file)

    async def meanwhile() -> AsyncIterator[bytes]:
        yield b"ab"
        with pytest.raises(UploadBusy):
            await other.uploads.append(file.id, 0, given(b"xxxx"))
        with pytest.raises(UploadBusy):
            await other.uploads.complete(file.id)
        yield b"cd"

    assert await files.uploads.append(file.id, 0, meanwhile()) == 4

    await other.uploads.complete(file.id)
    assert await content(files, file.id) == b"abcd"
    await other.close()


async def test_an_upload_that_is_being_written_does_not_expire(
    files: FolderFiles, clock: Virtual
) -> None:
    file = a_file(4)
    await files.uploads.begin(file)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"ab"
        clock.advance(9_000)
        assert await files.uploads.expire(3_600) == []
        yield b"cd"

    assert await files.uploads.append(file.id, 0, slowly()) == 4


async def test_nobody_else_may_look_into_the_folder(files: FolderFiles, tmp_path: Path) -> None:
    await put(files, b"secret")
    await files.uploads.begin(a_file(5))

    paths = [tmp_path / "files", *(tmp_path / "files").rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}

    assert modes == {(True, 0o700), (False, 0o600)}


async def test_what_a_crash_left_is_swept(
    files: FolderFiles, tmp_path: Path, clock: Virtual
) -> None:
    file = await put(files, b"abc")
    for place in ("uploads", "files"):
        half = tmp_path / "files" / place / "00" / ".0123456789abcdef"
        half.mkdir(parents=True)
        (half / "data").write_bytes(b"half")
    clock.advance(100)

    assert [i async for i in files.finished(0)] == [file.id]
    await files.uploads.expire(0)

    assert list((tmp_path / "files").rglob(".0123456789abcdef")) == []
    assert await content(files, file.id) == b"abc"


async def test_a_mark_that_a_crash_left_empty_is_no_mark(
    files: FolderFiles, tmp_path: Path
) -> None:
    file = a_file(4)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(b"ab"))
    (folder,) = (tmp_path / "files" / "uploads").rglob(file.id)
    (folder / "mark").touch()

    assert await files.uploads.offset(file.id) == 2
    assert await files.uploads.append(file.id, 2, given(b"cd")) == 4


async def test_a_folder_that_cannot_be_made_is_told_to_the_operator(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file stands here")

    with pytest.raises(Unavailable, match="cannot be used for files"):
        await open_folder_files(tmp_path / "files", clock=clock_now())


async def test_a_folder_that_went_away_is_told_to_the_operator(
    files: FolderFiles, tmp_path: Path
) -> None:
    (tmp_path / "files").rename(tmp_path / "gone")

    with pytest.raises(Unavailable, match="cannot be written"):
        await files.checks["files"]()


async def test_a_closed_store_refuses(files: FolderFiles) -> None:
    file = await put(files, b"abc")
    await files.close()

    with pytest.raises(Unavailable):
        await files.stat(file.id)
