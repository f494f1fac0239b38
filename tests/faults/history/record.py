"""What a history is made of: one JSON array a line, its first element the record's name.

`t` and `began` are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. A
`process` is one client with one login; its connections are numbered by `conn`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import msgspec

_hidden = ("client_id", "content", "mentions", "file_ids", "gone")
"""Of an event: what only its sender sees, and what blanking may change."""


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event as somebody saw it.

    `fixed` and `body` are digests of its bytes: of what never changes, and of what blanking takes.
    `token` is the client id that made it, as the first word of its text tells; "" where it cannot
    be seen. `type` is the event's.
    """

    seq: int
    id: str
    at: int
    fixed: str
    body: str
    token: str
    type: str
    gone: bool = False


class Invoke(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="invoke"):
    """A command leaves. The same `cid` again is a retry."""

    t: int
    process: str
    conn: int
    op: int
    room: str
    sender: str
    cid: str
    name: str
    target: int = 0


class Ok(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="ok"):
    t: int
    process: str
    op: int
    seq: int
    id: str
    at: int


class Refused(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="refused"):
    """Surely not done."""

    t: int
    process: str
    op: int
    code: str


class Unknown(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="unknown"):
    """No answer, or one that leaves open whether it was done (`unavailable`, `internal`)."""

    t: int
    process: str
    op: int
    why: str


class Opened(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="opened"):
    t: int
    process: str
    conn: int
    hub: str


class Closed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="closed"):
    t: int
    process: str
    conn: int
    why: str


class Live(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="live"):
    t: int
    process: str
    conn: int
    room: str
    row: Row


class Synced(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="synced"):
    """What `sync` answered for one room: the rows after `after`."""

    began: int
    t: int
    process: str
    conn: int
    room: str
    after: int
    head: int
    more: bool
    reset: bool
    rows: tuple[Row, ...]


class Page(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="page"):
    """A page of history over HTTP; `after` -1: the newest rows."""

    began: int
    t: int
    process: str
    room: str
    after: int
    head: int
    rows: tuple[Row, ...]


class Settled(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="settled"):
    """The process was connected when everything was quiet: it must have had all of the room."""

    t: int
    process: str
    room: str


class Final(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="final"):
    """A part of the whole log, read when all was over. `source` says how: "api" or "store".

    Rows of the store carry no digests, but every client id.
    """

    t: int
    source: str
    room: str
    head: int
    rows: tuple[Row, ...]


Record: TypeAlias = (
    Invoke | Ok | Refused | Unknown | Opened | Closed | Live | Synced | Page | Settled | Final
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Known(msgspec.Struct):
    room_id: str
    seq: int
    id: str
    at: int
    type: str
    gone: str | None = None
    client_id: str | None = None


class _Body(msgspec.Struct):
    body: str = ""


_known = msgspec.json.Decoder(_Known).decode
_body = msgspec.json.Decoder(_Body).decode


def row_of(wire: bytes | msgspec.Raw) -> tuple[str, Row]:
    """(room id, row) of an event's JSON. Its bytes count, key order and all."""
    known, fields = _known(wire), _fields(wire)
    fixed, body = hashlib.blake2b(digest_size=8), hashlib.blake2b(digest_size=8)
    for name, value in fields.items():
        digest = body if name in _hidden[1:] else fixed
        if name != "client_id":
            digest.update(name.encode())
            digest.update(value)
    token = ""
    if known.gone is None and known.type in ("message", "edit"):
        token = _body(fields["content"]).body.partition(" ")[0]
    elif known.client_id is not None:
        token = known.client_id
    return known.room_id, Row(
        known.seq, known.id, known.at, fixed.hexdigest(), body.hexdigest(), token, known.type,
        known.gone is not None,
    )  # fmt: skip


class Writer:
    """Appends records to a file of its own process; `flush` when quiet, `close` at the end."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab", buffering=1 << 20)
        self.written = 0

    def write(self, record: Record) -> None:
        self._file.write(_encode(record))
        self._file.write(b"\n")
        self.written += 1

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def write_history(path: Path, records: Iterable[Record]) -> None:
    writer = Writer(path)
    for record in records:
        writer.write(record)
    writer.close()


def read_history(paths: Iterable[Path]) -> Iterator[Record]:
    """File by file: within a process the order is that of time. A torn last line (its writer was
    killed) is left out."""
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield _decode(line)
