"""Events and claims as rows of the log, and back.

Kinds of rows in a bucket: messages, other events, claims, errands. Messages are apart from other
events so that a view of messages reads nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from server.kernel.ids import DeviceId, EventId, LogId, RoomId, Seq, UserId
from storage.api import Claim, Event, EventType, Gone, Mentions
from storage.cassandra.session import Step

MESSAGE, CLAIM, OTHER, ERRAND = 0, 1, 2, 3
BUCKET = 4096
"""Events of a bucket; the last batch of one may go past it."""
GONE: tuple[Gone, ...] = ("deleted", "expired", "erased")
"""Their numbers in the table: added to at the end only."""
GONE_NUMBER = {name: number for number, name in enumerate(GONE)}

SWEEP_S = 3 * 3600
"""Expired content that nobody blanked ends itself this much later: nodes whose clocks are an hour
ahead must not take it early.
"""
LONGEST_TTL_S = 20 * 365 * 86_400
"""Cassandra's bound; what lives longer is left to be blanked."""


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """What stays of an event for ever. Fields are added at the end only, with defaults."""

    type: EventType
    id: str
    at: int
    n: int
    sender_id: str
    device_id: str
    client_id: str | None = None
    target_seq: int | None = None
    reply_to: int | None = None
    thread_seq: int | None = None
    expires_at: int | None = None


class Body(msgspec.Struct, frozen=True, array_like=True):
    """What blanking takes."""

    content: bytes
    mentions: Mentions | None = None
    file_ids: tuple[str, ...] = ()


class LogRow(NamedTuple):
    """A row of kind MESSAGE or OTHER as the statements select it."""

    kind: int
    seq: int
    meta: bytes
    content: bytes | None
    gone: int | None


_encode = msgspec.msgpack.Encoder().encode
_meta = msgspec.msgpack.Decoder(Meta)
_body = msgspec.msgpack.Decoder(Body)
_errand = msgspec.msgpack.Decoder(list[tuple[int, Gone]])
_claim = struct.Struct("!qq16s")


def meta_of(row: LogRow | bytes) -> Meta:
    return _meta.decode(row if isinstance(row, bytes) else row.meta)


def event_steps(event: Event, bucket: int, now_ms: int) -> Iterator[Step]:
    meta = _encode(
        Meta(
            event.type, event.id, event.at, event.n, event.sender_id, event.device_id,
            event.client_id, event.target_seq, event.reply_to, event.thread_seq, event.expires_at,
        )
    )  # fmt: skip
    kind = MESSAGE if event.type == "message" else OTHER
    place = (event.room_id, bucket, kind, event.seq)
    if event.gone is not None:
        yield "event_gone", (*place, meta, GONE_NUMBER[event.gone])
        return
    content = event.content if isinstance(event.content, msgspec.Raw) else b"null"
    body = _encode(Body(bytes(content), event.mentions, event.file_ids))
    ttl_s = _ttl_s(event.expires_at, now_ms)
    if ttl_s:
        yield "event_bare", (*place, meta)
        yield "event_content", (ttl_s, body, *place)
    else:
        yield "event", (*place, meta, body)


def _ttl_s(expires_at: int | None, now_ms: int) -> int:
    """0: never."""
    if expires_at is None:
        return 0
    ttl_s = max(0, expires_at - now_ms) // 1000 + SWEEP_S
    return ttl_s if ttl_s < LONGEST_TTL_S else 0


def event_of(row: LogRow, room_id: RoomId, log_id: LogId) -> Event:
    meta = _meta.decode(row.meta)
    body: Body | None = None
    gone: Gone | None = None
    if row.gone is not None:
        gone = GONE[row.gone]
    elif row.content is None:
        gone = "expired"
    else:
        body = _body.decode(row.content)
    return Event(
        room_id=room_id,
        log_id=log_id,
        seq=Seq(row.seq),
        id=EventId(meta.id),
        at=meta.at,
        type=meta.type,
        sender_id=UserId(meta.sender_id),
        device_id=DeviceId(meta.device_id),
        content=None if body is None else msgspec.Raw(body.content),
        client_id=meta.client_id,
        target_seq=_seq(meta.target_seq),
        reply_to=_seq(meta.reply_to),
        thread_seq=_seq(meta.thread_seq),
        mentions=None if body is None else body.mentions,
        file_ids=() if body is None else body.file_ids,
        expires_at=meta.expires_at,
        gone=gone,
        n=meta.n,
    )


def _seq(value: int | None) -> Seq | None:
    return None if value is None else Seq(value)


def claim_key(sender_id: UserId, client_id: str) -> bytes:
    """2 bytes length of the sender's id, the sender's id, the client's id."""
    sender = sender_id.encode()
    return len(sender).to_bytes(2, "big") + sender + client_id.encode()


def claim_value(claim: Claim) -> bytes:
    """8 bytes seq, 8 bytes time, 16 bytes digest; big endian."""
    return _claim.pack(claim.seq, claim.at, claim.digest)


def claim_of(cid: bytes, value: bytes) -> Claim:
    seq, at, digest = _claim.unpack(value)
    end = 2 + int.from_bytes(cid[:2], "big")
    return Claim(UserId(cid[2:end].decode()), cid[end:].decode(), Seq(seq), digest, at)


def errand_value(blanks: list[tuple[Seq, Gone]]) -> bytes:
    return _encode(blanks)


def errand_of(value: bytes) -> list[tuple[Seq, Gone]]:
    return [(Seq(seq), gone) for seq, gone in _errand.decode(value)]
