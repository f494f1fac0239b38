"""Bugs put into good histories: a checker that does not find them proves nothing.

Each takes a good history and returns one as a server with that bug would have caused it, as little
changed otherwise as can be. Raises NoPlace where the history has no place for the bug.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from tests.faults.history.record import (
    Final,
    Invoke,
    Live,
    Ok,
    Page,
    Record,
    Row,
    Settled,
    Synced,
)

_T = TypeVar("_T")
replace = msgspec.structs.replace


class NoPlace(Exception):
    """This history has nothing where the bug could be."""


def double(history: list[Record], chance: random.Random) -> list[Record]:
    """A command is stored a second time, at the end of the log."""
    row = _pick([row for row in _log(history) if row.token], chance)
    head = _log(history)[-1].seq + 1
    again = replace(row, seq=head, id=row.id + "-again", fixed="again", body="again")
    room = _room_of(history)
    told: list[Record] = []
    for record in history:
        match record:
            case Final() if record.room == room and record.rows[-1].seq == head - 1:
                rows = (*record.rows, replace(again, fixed="", body="") if _bare(record) else again)
                record = replace(record, head=head, rows=rows)
            case Settled(room=where) if where == room:
                conn = _last_conn(history, record.process, room)
                if conn is not None:
                    told.append(Live(record.t - 1, record.process, conn, room, again))
                    told.append(record)
                    continue
            case _:
                pass
        told.append(record)
    return told


def hole(history: list[Record], chance: random.Random) -> list[Record]:
    """A seq was never given: nobody has it, the log goes on after it."""
    seq = _pick(_log(history)[1:-1], chance).seq
    room = _room_of(history)
    left: list[Record] = []
    for record in history:
        match record:
            case Live(row=row) if record.room == room and row.seq == seq:
                continue
            case Synced() | Page() | Final() if record.room == room:
                kept = tuple(row for row in record.rows if row.seq != seq)
                left.append(replace(record, rows=kept))
            case _:
                left.append(record)
    return left


def stale_read(history: list[Record], chance: random.Random) -> list[Record]:
    """A page is read from before what was answered when it was asked for."""
    room = _room_of(history)
    top, places = 0, []
    answered: list[tuple[int, int]] = sorted(
        (record.t, record.seq) for record in history if isinstance(record, Ok)
    )
    for place, record in enumerate(history):
        if isinstance(record, Page) and record.room == room and record.after < 0:
            top = max((seq for t, seq in answered if t < record.began), default=0)
            if top > 1:
                places.append((place, top))
    place, top = _pick(places, chance)
    page = history[place]
    assert isinstance(page, Page)
    old = tuple(row for row in page.rows if row.seq < top)
    return _with(history, place, replace(page, head=top - 1, rows=old))


def lost_ack(history: list[Record], chance: random.Random) -> list[Record]:
    """The last event is gone from the log, with all that comes after, though it was answered."""
    room = _room_of(history)
    seq = max((record.seq for record in history if isinstance(record, Ok)), default=0)
    if not seq:
        raise NoPlace("nothing was answered")
    left: list[Record] = []
    for record in history:
        match record:
            case Live(row=row) if record.room == room and row.seq >= seq:
                continue
            case Synced() | Page() | Final() if record.room == room:
                kept = tuple(row for row in record.rows if row.seq < seq)
                left.append(replace(record, rows=kept, head=min(record.head, seq - 1)))
            case _:
                left.append(record)
    return left


def reordering(history: list[Record], chance: random.Random) -> list[Record]:
    """Two events changed places, for everybody: the later one was asked for after the earlier one
    was answered."""
    room = _room_of(history)
    cids = {(r.process, r.op): r for r in history if isinstance(r, Invoke)}
    attempts: dict[str, int] = {}
    for invoke in cids.values():
        attempts[invoke.cid] = attempts.get(invoke.cid, 0) + 1
    acks = {
        record.seq: (cids[record.process, record.op], record)
        for record in history
        if isinstance(record, Ok)
    }
    pairs = [
        (seq, seq + 1)
        for seq, (invoke, ok) in acks.items()
        if seq + 1 in acks and attempts[acks[seq + 1][0].cid] == 1 and attempts[invoke.cid] == 1
        and acks[seq + 1][0].t > ok.t and ok.process != acks[seq + 1][1].process
    ]  # fmt: skip
    one, two = _pick(pairs, chance)
    first, second = acks[one][1], acks[two][1]
    rows = {row.seq: row for row in _log(history)}
    told = {row.seq: row for r in history if isinstance(r, Live) for row in (r.row,)} | {
        row.seq: row for r in history if isinstance(r, Synced) for row in r.rows
    }

    def swap(row: Row) -> Row:
        if row.seq not in (one, two):
            return row
        other = one + two - row.seq
        source = rows if not row.fixed else told
        return replace(source.get(other, rows[other]), seq=row.seq)

    changed: list[Record] = []
    for record in history:
        match record:
            case Live() if record.room == room:
                changed.append(replace(record, row=swap(record.row)))
            case Synced() | Page() | Final() if record.room == room:
                changed.append(replace(record, rows=tuple(map(swap, record.rows))))
            case Ok() if record is first:
                changed.append(replace(record, seq=two))
            case Ok() if record is second:
                changed.append(replace(record, seq=one))
            case _:
                changed.append(record)
    return changed


BUGS: dict[str, Callable[[list[Record], random.Random], list[Record]]] = {
    "double": double,
    "hole": hole,
    "stale": stale_read,
    "lost": lost_ack,
    "order": reordering,
}
"""By the rule that each of them breaks."""


def _room_of(history: list[Record]) -> str:
    """The room that the bugs go into: the first one whose log was read."""
    return next(record.room for record in history if isinstance(record, Final))


def _log(history: list[Record]) -> list[Row]:
    room = _room_of(history)
    source = next(record.source for record in history if isinstance(record, Final))
    return [
        row
        for record in history
        if isinstance(record, Final) and (record.room, record.source) == (room, source)
        for row in record.rows
    ]


def _bare(record: Final) -> bool:
    return not record.rows[-1].fixed


def _last_conn(history: list[Record], process: str, room: str) -> int | None:
    conn = None
    for record in history:
        if isinstance(record, Live | Synced) and (record.process, record.room) == (process, room):
            conn = record.conn
    return conn


def _with(history: list[Record], place: int, record: Record) -> list[Record]:
    return [*history[:place], record, *history[place + 1 :]]


def _pick(choices: Sequence[_T], chance: random.Random) -> _T:
    if not choices:
        raise NoPlace
    return chance.choice(choices)
