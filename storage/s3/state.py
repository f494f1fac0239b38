"""The state of an upload as one object: a line of JSON, then the bytes that are no part yet.

S3 takes parts of 5 MiB and more only (the last may be smaller), and a client may send one byte a
time: so the tail, less than a part, is kept in the state itself and written anew with it.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from server.kernel.ids import FileId
from storage.api import FileInfo

PART_BYTES = 5 * 1024 * 1024
"""The smallest part S3 takes, so that the least is held in memory and written twice."""
PART_NUMBERS = 10_000
"""Part numbers that S3 has."""
MAX_BYTES = 4_000 * PART_BYTES
"""Each append may waste a number at its end; the rest is for those that broke off."""


class PartRow(msgspec.Struct, frozen=True, array_like=True):
    """A part that is stored. Numbers ascend, with gaps."""

    number: int
    etag: str
    size: int


class State(msgspec.Struct, frozen=True):
    """`token` is new with each version: it tells whose write was stored when an answer was lost.

    `multipart`: the id of S3's multipart upload, "" before the first part. `taken`: the highest
    part number given away, so that two nodes never write the same part.
    """

    file: FileInfo
    token: str = ""
    multipart: str = ""
    taken: int = 0
    parts: tuple[PartRow, ...] = ()

    @property
    def parts_bytes(self) -> int:
        return sum(part.size for part in self.parts)

    def changed(self, **fields: Any) -> State:
        return msgspec.structs.replace(self, token=os.urandom(8).hex(), **fields)


def encode(state: State, tail: bytes | bytearray) -> bytes:
    return msgspec.json.encode(state) + b"\n" + tail


def decode(data: bytes) -> tuple[State, bytes]:
    head, _, tail = data.partition(b"\n")
    return msgspec.json.decode(head, type=State), tail


def state_key(file_id: FileId) -> str:
    return f"uploads/{file_id}"


def file_key(file_id: FileId) -> str:
    return f"files/{file_id}"


def id_in(key: str) -> FileId:
    return FileId(key.partition("/")[2])
