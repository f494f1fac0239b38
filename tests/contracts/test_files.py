"""What every store of files promises: `storage.api.Uploads` and `Files`."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.kernel.clock import Virtual
from server.kernel.errors import Conflict, Invalid
from server.kernel.ids import FileId
from storage.api import Files, NoSuchFile, PastSize, UploadBusy, WrongOffset
from storage.memory.files import MemoryFiles
from tests.support.file_stores import (
    KINDS,
    a_file,
    broken_off,
    clock_now,
    content,
    given,
    open_files,
    pattern,
    put,
)

MIB = 1024 * 1024
PART = 5 * MIB
ODD_IDS = (
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "a\x00b",
    "ä",
    "x" * 65,
    "a b",
    "a.b",
    "a%2e",
    "a\n",
)


@pytest.fixture
def clock() -> Virtual:
    return clock_now()


@pytest.fixture(params=[pytest.param(k, marks=pytest.mark.slow) if k == "s3" else k for k in KINDS])
async def files(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Virtual
) -> AsyncIterator[Files]:
    async with open_files(request.param, tmp_path, clock) as opened:
        yield opened


async def test_a_file_sent_in_pieces_of_any_size_is_read_as_one(files: Files) -> None:
    file = a_file(12)
    await files.uploads.begin(file)

    offsets = [
        await files.uploads.append(file.id, 0, given(b"a")),
        await files.uploads.append(file.id, 1, given()),
        await files.uploads.append(file.id, 1, given(b"bc", b"", b"defg")),
        await files.uploads.append(file.id, 7, given(b"hijkl")),
    ]
    done = await files.uploads.complete(file.id)

    assert offsets == [1, 1, 7, 12]
    assert done == file
    assert await content(files, file.id) == b"abcdefghijkl"


async def test_name_type_and_size_are_kept_with_the_file(files: Files) -> None:
    name = "Übersicht “Größen” 🌻 " + "ñ" * 200

    file = await put(files, b"three", name=name, mime="text/plain; charset=utf-8")

    assert await files.stat(file.id) == file
    assert (file.name, file.mime, file.size_bytes) == (name, "text/plain; charset=utf-8", 5)


async def test_an_empty_file_is_a_file(files: Files) -> None:
    file = await put(files, b"")

    assert await files.stat(file.id) == file
    assert await content(files, file.id) == b""


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART])
async def test_a_file_whose_size_is_at_the_edge_of_a_part_is_whole(files: Files, size: int) -> None:
    whole = pattern(size)

    file = await put(files, whole)

    assert await content(files, file.id) == whole


async def test_pieces_that_meet_at_the_edges_of_parts_fit_together(files: Files) -> None:
    edges = [0, 1, PART - 1, PART, PART + 1, 2 * PART + 3, 2 * PART + 4]
    file = a_file(edges[-1])
    await files.uploads.begin(file)

    for start, end in itertools.pairwise(edges):
        assert await files.uploads.append(file.id, start, given(pattern(end - start, start))) == end
        assert await files.uploads.offset(file.id) == end
    await files.uploads.complete(file.id)

    assert await content(files, file.id) == pattern(edges[-1])


async def test_a_wrong_offset_is_refused_with_the_right_one(files: Files) -> None:
    file = a_file(10)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(b"12345"))

    for wrong in (0, 4, 6, 10, -1):
        with pytest.raises(WrongOffset) as refused:
            await files.uploads.append(file.id, wrong, given(b"x"))
        assert refused.value.offset == 5

    assert await files.uploads.offset(file.id) == 5


async def test_more_than_the_size_is_refused_and_what_fitted_is_kept(files: Files) -> None:
    file = a_file(4)
    await files.uploads.begin(file)

    with pytest.raises(PastSize):
        await files.uploads.append(file.id, 0, given(b"abc", b"de"))

    assert await files.uploads.offset(file.id) == 3


async def test_what_came_before_the_line_broke_is_kept(files: Files) -> None:
    file = a_file(PART + 10)
    await files.uploads.begin(file)

    with pytest.raises(ConnectionResetError):
        await files.uploads.append(file.id, 0, broken_off(pattern(PART + 3)))

    assert await files.uploads.offset(file.id) == PART + 3
    await files.uploads.append(file.id, PART + 3, given(pattern(7, PART + 3)))
    await files.uploads.complete(file.id)
    assert await content(files, file.id) == pattern(PART + 10)


@pytest.mark.parametrize("size", [5, PART + 3])
async def test_an_all_or_nothing_piece_that_breaks_leaves_nothing(files: Files, size: int) -> None:
    file = a_file(2 * PART)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(2)))

    with pytest.raises(ConnectionResetError):
        await files.uploads.append(file.id, 2, broken_off(b"x" * size), whole=True)

    assert await files.uploads.offset(file.id) == 2
    rest = given(pattern(PART, 2), pattern(PART - 2, PART + 2))
    assert await files.uploads.append(file.id, 2, rest, whole=True) == 2 * PART
    await files.uploads.complete(file.id)
    assert await content(files, file.id) == pattern(2 * PART)


async def test_of_two_appends_at_once_one_is_refused(files: Files) -> None:
    file = a_file(4)
    await files.uploads.begin(file)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"ab"
        begun.set()
        await go_on.wait()
        yield b"cd"

    first = asyncio.create_task(files.uploads.append(file.id, 0, slowly()))
    await begun.wait()
    with pytest.raises(UploadBusy):
        await files.uploads.append(file.id, 0, given(b"xxxx"))
    with pytest.raises((UploadBusy, WrongOffset)):
        await files.uploads.complete(file.id)
    go_on.set()

    assert await first == 4
    await files.uploads.complete(file.id)
    assert await content(files, file.id) == b"abcd"


async def test_an_append_that_is_cancelled_lets_the_next_one_in(files: Files) -> None:
    file = a_file(4)
    await files.uploads.begin(file)
    begun = asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield b"ab"
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(files.uploads.append(file.id, 0, hanging()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    at = await files.uploads.offset(file.id)
    assert await files.uploads.append(file.id, at, given(b"abcd"[at:])) == 4


async def test_an_upload_that_is_aborted_is_gone(files: Files) -> None:
    file = a_file(2 * PART)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(PART + 1)))

    await files.uploads.abort(file.id)
    await files.uploads.abort(file.id)

    for call in (files.uploads.offset(file.id), files.uploads.complete(file.id)):
        with pytest.raises(NoSuchFile):
            await call
    with pytest.raises(NoSuchFile):
        await files.uploads.append(file.id, PART + 1, given(b"x"))
    assert await files.stat(file.id) is None


async def test_an_append_under_way_ends_when_the_upload_is_aborted(files: Files) -> None:
    file = a_file(PART)
    await files.uploads.begin(file)

    async def interrupted() -> AsyncIterator[bytes]:
        yield b"ab"
        await files.uploads.abort(file.id)
        yield b"cd"

    with pytest.raises(NoSuchFile):
        await files.uploads.append(file.id, 0, interrupted())

    assert await files.stat(file.id) is None


async def test_completing_waits_for_all_bytes_and_may_be_repeated(files: Files) -> None:
    file = a_file(3)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(b"ab"))

    with pytest.raises(WrongOffset) as refused:
        await files.uploads.complete(file.id)
    await files.uploads.append(file.id, 2, given(b"c"))

    assert refused.value.offset == 2
    assert [await files.uploads.complete(file.id) for _ in range(2)] == [file, file]
    with pytest.raises(NoSuchFile):
        await files.uploads.append(file.id, 3, given())


async def test_two_who_complete_at_once_both_see_the_file(files: Files) -> None:
    file = a_file(PART + 1)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(PART + 1)))

    answers = await asyncio.gather(
        *(files.uploads.complete(file.id) for _ in range(2)), return_exceptions=True
    )

    assert file in answers
    assert all(answer == file or isinstance(answer, UploadBusy) for answer in answers)
    assert await content(files, file.id) == pattern(PART + 1)


async def test_an_id_is_used_once(files: Files) -> None:
    begun, finished = a_file(3), await put(files, b"abc")
    await files.uploads.begin(begun)

    for again in (begun, finished):
        with pytest.raises(Conflict):
            await files.uploads.begin(again)

    assert await content(files, finished.id) == b"abc"


@pytest.mark.parametrize("odd", ODD_IDS, ids=repr)
async def test_an_id_that_could_be_a_path_is_refused_everywhere(files: Files, odd: str) -> None:
    file_id = FileId(odd)
    calls = [
        files.uploads.begin(a_file(1, id=file_id)), files.uploads.offset(file_id),
        files.uploads.append(file_id, 0, given()), files.uploads.complete(file_id),
        files.uploads.abort(file_id), files.stat(file_id), files.delete(file_id),
        content(files, file_id),
    ]  # fmt: skip

    for call in calls:
        with pytest.raises(Invalid):
            await call


@pytest.mark.parametrize(
    "bad",
    [{"name": "x" * 256}, {"name": "a\r\nb"}, {"name": "\ud800"}, {"mime": "text"},
     {"mime": "text/plain\r\nx: y"}, {"mime": "a/" + "b" * 100}, {"size": -1}],
    ids=str,
)  # fmt: skip
async def test_what_could_not_be_kept_with_a_file_is_refused(
    files: Files, bad: dict[str, object]
) -> None:
    file = a_file(**{"size": 1, **bad})  # type: ignore[arg-type]

    with pytest.raises(Invalid):
        await files.uploads.begin(file)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (0, 1), (1, 2), (MIB - 1, MIB + 1), (MIB, None), (2 * MIB - 1, None), (7, 7),
     (9, 4), (0, 5 * MIB), (2 * MIB, None), (3 * MIB, 4 * MIB)],
)  # fmt: skip
async def test_a_range_is_read_as_asked(files: Files, start: int, end: int | None) -> None:
    whole = pattern(2 * MIB)
    file = await put(files, whole)

    got = [chunk async for chunk in files.read(file.id, start, end)]

    assert b"".join(got) == whole[start:end]
    assert all(0 < len(chunk) <= 256 * 1024 for chunk in got)


async def test_reading_may_stop_early(files: Files) -> None:
    file = await put(files, pattern(2 * MIB))

    for _ in range(50):
        reader = files.read(file.id)
        assert await anext(reader) == pattern(256 * 1024)
        await reader.aclose()  # type: ignore[attr-defined]

    assert await content(files, file.id, 5, 9) == pattern(4, 5)


async def test_what_is_not_there_is_not_found(files: Files) -> None:
    stranger = FileId("stranger")

    assert await files.stat(stranger) is None
    await files.delete(stranger)
    for start, end in ((0, None), (0, 0)):
        with pytest.raises(NoSuchFile):
            await content(files, stranger, start, end)
    with pytest.raises(NoSuchFile):
        await files.uploads.offset(stranger)


async def test_an_unfinished_file_cannot_be_read(files: Files) -> None:
    file = a_file(2)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(b"ab"))

    assert await files.stat(file.id) is None
    with pytest.raises(NoSuchFile):
        await content(files, file.id)


async def test_a_deleted_file_is_gone(files: Files) -> None:
    file, other = await put(files, b"abc"), await put(files, b"def")

    await files.delete(file.id)

    assert await files.stat(file.id) is None
    with pytest.raises(NoSuchFile):
        await content(files, file.id)
    assert await content(files, other.id) == b"def"


async def test_uploads_that_nobody_goes_on_with_expire(files: Files, clock: Virtual) -> None:
    small, large, done = a_file(9), a_file(2 * PART), await put(files, b"done")
    for file, size in ((small, 3), (large, PART + 1)):
        await files.uploads.begin(file)
        await files.uploads.append(file.id, 0, given(pattern(size)))

    clock.advance(3_000)
    assert await files.uploads.expire(3_600) == []
    clock.advance(1_000)
    gone = await files.uploads.expire(3_600)

    assert set(gone) == {small.id, large.id}
    for file in (small, large):
        with pytest.raises(NoSuchFile):
            await files.uploads.offset(file.id)
    assert await content(files, done.id) == b"done"
    assert await files.uploads.expire(0) == []


async def test_finished_files_are_listed_once_they_are_old_enough(
    files: Files, clock: Virtual
) -> None:
    ids = {(await put(files, b"x")).id for _ in range(12)}
    await files.uploads.begin(a_file(5))

    young = [file_id async for file_id in files.finished(3_600)]
    clock.advance(4_000)
    old = [file_id async for file_id in files.finished(3_600)]

    assert young == []
    assert sorted(old) == sorted(ids)


async def test_a_store_that_can_serve_says_so(files: Files) -> None:
    for check in files.checks.values():
        await check()


@pytest.mark.slow
async def test_a_large_file_passes_through_little_memory(files: Files) -> None:
    size, block = 64 * MIB, pattern(MIB)
    file = a_file(size)
    await files.uploads.begin(file)
    forget_peak()
    before = memory("VmRSS")

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(size // MIB):
            yield block

    await files.uploads.append(file.id, 0, blocks())
    await files.uploads.complete(file.id)
    digest = hashlib.sha256()
    async for chunk in files.read(file.id):
        digest.update(chunk)

    grown = memory("VmHWM") - before
    expected = hashlib.sha256()
    for _ in range(size // MIB):
        expected.update(block)
    assert digest.digest() == expected.digest()
    assert isinstance(files, MemoryFiles) or grown < 40 * MIB, grown


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory(line: str) -> int:
    """Bytes, as the kernel counts them: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition(f"{line}:")[2].split()[0]) * 1024
