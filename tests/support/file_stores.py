"""Stores of files for tests: one of each implementation, and bytes to put into them."""

from __future__ import annotations

import itertools
import secrets
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from server.kernel.clock import Clock, Virtual
from server.kernel.config import S3
from server.kernel.ids import FileId
from storage.api import FileInfo, Files
from storage.folder import open_folder_files
from storage.memory.files import MemoryFiles
from storage.s3 import open_s3
from tests.support.servers.minio import minio

KINDS = ("memory", "folder", "s3")
_numbers = itertools.count(1)


def clock_now() -> Virtual:
    """Starts at the machine's time, which S3 dates its objects by, and moves only when told."""
    return Virtual(time.time_ns() // 1_000_000)


def fresh_bucket(config: S3) -> S3:
    """The same server, a bucket of its own."""
    return msgspec.structs.replace(config, bucket=f"test-{secrets.token_hex(6)}")


@asynccontextmanager
async def open_files(kind: str, folder: Path, clock: Clock | None = None) -> AsyncIterator[Files]:
    """An empty store of that kind, closed at the end."""
    clock = clock or clock_now()
    files: Files
    if kind == "memory":
        files = MemoryFiles(clock)
    elif kind == "folder":
        files = await open_folder_files(folder / "files", clock=clock)
    else:
        files = await open_s3(fresh_bucket(minio().config), clock=clock)
    try:
        yield files
    finally:
        await files.close()


def a_file(size: int, **given: Any) -> FileInfo:
    """With an id of its own."""
    fields = {"id": FileId(f"file-{next(_numbers)}"), "name": "plan.pdf", "mime": "application/pdf"}
    return FileInfo(size_bytes=size, **fields | given)


def pattern(size: int, start: int = 0) -> bytes:
    """Bytes that differ from place to place, so that a piece in the wrong place is seen."""
    first = start // 4
    words = array("I", range(first, (start + size) // 4 + 1))
    return words.tobytes()[start - first * 4 :][:size]


async def given(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken_off(*chunks: bytes) -> AsyncIterator[bytes]:
    """A client whose line breaks after these."""
    for chunk in chunks:
        yield chunk
    raise ConnectionResetError


async def put(files: Files, content: bytes, **fields: Any) -> FileInfo:
    """A finished file."""
    file = a_file(len(content), **fields)
    await files.uploads.begin(file)
    await files.uploads.append(file.id, 0, given(content))
    return await files.uploads.complete(file.id)


async def content(files: Files, file_id: FileId, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in files.read(file_id, start, end)])
