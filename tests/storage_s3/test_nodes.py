"""Several nodes on one bucket, nodes that die, answers that get lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from server.kernel.clock import Virtual
from server.kernel.config import S3
from server.kernel.errors import Unavailable
from storage.api import NoSuchFile, UploadBusy, WrongOffset
from storage.s3 import S3Files, open_s3
from storage.s3.bucket import Bucket
from storage.s3.state import PART_BYTES as PART
from storage.s3.state import file_key, state_key
from storage.s3.uploads import APPENDS
from tests.support.file_stores import a_file, content, given, pattern
from tests.support.lost_answers import losing_answers

pytestmark = pytest.mark.slow


@pytest.fixture
async def bucket(files: S3Files, config: S3, clock: Virtual) -> AsyncIterator[Bucket]:
    opened = Bucket(config, clock)
    yield opened
    opened.close()


async def test_an_upload_goes_on_at_another_node(files: S3Files, other_node: S3Files) -> None:
    file = a_file(2 * PART + 9)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(PART + 5)))

    at = await other_node.uploads.offset(file.id)
    await other_node.uploads.append(file.id, at, given(pattern(PART + 4, at)))
    await files.uploads.complete(file.id)

    assert at == PART + 5
    assert await content(other_node, file.id) == pattern(2 * PART + 9)


async def test_single_bytes_across_the_edge_of_a_part_are_kept(files: S3Files) -> None:
    start, end = PART - 3, PART + 3
    file = a_file(end)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(start)))

    for at in range(start, end):
        assert await files.uploads.append(file.id, at, given(pattern(1, at))) == at + 1
    await files.uploads.complete(file.id)

    assert await content(files, file.id) == pattern(end)


async def test_of_two_nodes_that_append_at_once_only_one_is_stored(
    files: S3Files, other_node: S3Files
) -> None:
    file = a_file(5)
    await files.uploads.begin(file)

    answers = await asyncio.gather(
        files.uploads.append(file.id, 0, given(b"aaaaa")),
        other_node.uploads.append(file.id, 0, given(b"bbbbb")),
        return_exceptions=True,
    )
    await files.uploads.complete(file.id)

    assert [answer for answer in answers if isinstance(answer, int)] == [5]
    assert any(isinstance(answer, UploadBusy | WrongOffset) for answer in answers)
    winner = b"aaaaa" if answers[0] == 5 else b"bbbbb"
    assert await content(files, file.id) == winner


async def test_a_node_that_comes_back_late_changes_nothing(
    files: S3Files, other_node: S3Files
) -> None:
    file = a_file(3 * PART)
    await files.uploads.begin(file)

    async def overtaken() -> AsyncIterator[bytes]:
        yield pattern(PART)  # stored at once
        at = await other_node.uploads.offset(file.id)
        await other_node.uploads.append(file.id, at, given(pattern(2 * PART, at)))
        yield b"x" * 2 * PART

    with pytest.raises(UploadBusy):
        await files.uploads.append(file.id, 0, overtaken())
    await files.uploads.complete(file.id)

    assert await content(files, file.id) == pattern(3 * PART)


async def test_a_write_whose_answer_is_lost_counts_once(config: S3, clock: Virtual) -> None:
    async with losing_answers(config.endpoint) as link:
        through = msgspec.structs.replace(config, endpoint=link.endpoint)
        files = await open_s3(through, clock=clock)
        file = a_file(PART + 6)
        await files.uploads.begin(file)

        for at, piece in ((0, pattern(3)), (3, pattern(PART, 3)), (PART + 3, pattern(3, PART + 3))):
            link.lose("PUT", state_key(file.id))
            assert await files.uploads.append(file.id, at, given(piece)) == at + len(piece)
        await files.uploads.complete(file.id)

        assert link.lost == 3
        assert await content(files, file.id) == pattern(PART + 6)
        await files.close()


async def test_a_node_that_dies_between_finishing_and_forgetting_leaves_no_upload(
    files: S3Files, bucket: Bucket
) -> None:
    file = a_file(PART + 1)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(PART + 1)))
    state = await bucket.get(state_key(file.id))
    await files.uploads.complete(file.id)
    assert state is not None
    await bucket.put(state_key(file.id), state[0], {"x-amz-meta-offset": str(PART + 1)})

    assert await files.uploads.complete(file.id) == file

    with pytest.raises(NoSuchFile):
        await files.uploads.offset(file.id)
    assert await content(files, file.id) == pattern(PART + 1)


async def test_parts_that_a_dead_node_left_are_swept(
    files: S3Files, bucket: Bucket, clock: Virtual
) -> None:
    open_upload = a_file(2 * PART)
    await files.uploads.begin(open_upload)
    await files.uploads.append(open_upload.id, 0, given(pattern(PART)))
    for owner in ("nobody", open_upload.id):
        multipart = await bucket.start_parts(f"files/{owner}", {})
        await bucket.put_part(f"files/{owner}", multipart, 1, b"left behind")

    clock.advance(60)
    await files.uploads.append(open_upload.id, PART, given(b"x"))
    clock.advance(60)
    await files.uploads.expire(60)

    assert await bucket.open_parts("files/") == []


async def test_an_upload_whose_parts_the_store_forgot_is_gone(
    files: S3Files, bucket: Bucket
) -> None:
    file = a_file(2 * PART + 1)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(pattern(PART)))
    (parts,) = await bucket.open_parts(file_key(file.id))
    await bucket.drop_parts(parts.key, parts.multipart)

    for call in (
        files.uploads.append(file.id, PART, given(pattern(PART, PART))),
        files.uploads.offset(file.id),
    ):
        with pytest.raises(NoSuchFile):
            await call


async def test_more_appends_at_once_than_memory_is_meant_for_are_refused(files: S3Files) -> None:
    all_begun, go_on = asyncio.Event(), asyncio.Event()
    begun = 0

    async def waiting() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        if begun == APPENDS:
            all_begun.set()
        await go_on.wait()
        yield b"x"

    uploads = [a_file(1) for _ in range(APPENDS + 1)]
    for file in uploads:
        await files.uploads.begin(file)
    tasks = [
        asyncio.create_task(files.uploads.append(file.id, 0, waiting())) for file in uploads[:-1]
    ]
    async with asyncio.timeout(10):
        await all_begun.wait()

    with pytest.raises(Unavailable):
        await files.uploads.append(uploads[-1].id, 0, given(b"x"))

    go_on.set()
    assert await asyncio.gather(*tasks) == [1] * APPENDS
    assert await files.uploads.append(uploads[-1].id, 0, given(b"x")) == 1
