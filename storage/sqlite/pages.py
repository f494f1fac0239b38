"""Finds the rows of a page, also where messages are far apart.

An index of all messages would dirty one more page for nearly every append (5 us of 30). So only
the rows at which messages begin or end are indexed (`turns`): rows are dense, so two neighbours in
that index tell a whole run, and runs of anything else are stepped over however long they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from storage.sqlite.connection import ask, listed

Sized = list[Sequence[int]]
"""(pos, bytes of content) in reading order."""

ALL = """SELECT pos, coalesce(octet_length(content), 0) FROM events
    WHERE pos > ? AND pos < ? ORDER BY pos {order} LIMIT ?"""
NEAR = """SELECT pos, coalesce(octet_length(content), 0) FROM events
    WHERE pos > ? AND pos < ? AND type = 0 ORDER BY pos {order} LIMIT ?"""
END = "SELECT pos, type = 0 FROM events WHERE pos > ? AND pos < ? ORDER BY pos {order} LIMIT 1"
TURNS = """SELECT pos FROM events INDEXED BY events_turns
    WHERE turns = 1 AND pos > ? AND pos <= ? ORDER BY pos {order} LIMIT ?"""
RUNS = """SELECT pos, coalesce(octet_length(content), 0) FROM
    (SELECT value ->> 0 AS low, value ->> 1 AS high FROM json_each(?))
    CROSS JOIN events ON pos BETWEEN low AND high ORDER BY pos {order} LIMIT ?"""


def find_rows(db: apsw.Connection, low: int, high: int, limit: int, *, newest: bool) -> Sized:
    """The first (`newest`: last) `limit` rows between the keys `low` and `high`, both exclusive."""
    return ask(db, ALL.format(order=_order(newest)), (low, high, limit))


def find_messages(db: apsw.Connection, low: int, high: int, limit: int, *, newest: bool) -> Sized:
    """As `find_rows`, of messages alone."""
    window = 4 * limit
    edge = ask(db, END.format(order=_order(newest)), (low, high))
    if not edge:
        return []
    end = edge[0][0]
    near_low, near_high = (
        (max(low, end - window), high) if newest else (low, min(high, end + window))
    )
    near = ask(db, NEAR.format(order=_order(newest)), (near_low, near_high, limit))
    if len(near) == limit or (near_low, near_high) == (low, high):
        return near
    runs = _runs(db, low, high, limit, newest=newest)
    return ask(db, RUNS.format(order=_order(newest)), (listed(runs), limit))


def _runs(
    db: apsw.Connection, low: int, high: int, limit: int, *, newest: bool
) -> list[tuple[int, int]]:
    """Spans of keys that hold messages only: as many as the page can need, from its end."""
    first, first_is_message = ask(db, END.format(order="ASC"), (low, high))[0]
    last, last_is_message = ask(db, END.format(order="DESC"), (low, high))[0]
    count = 2 * limit + 1
    found = ask(db, TURNS.format(order=_order(newest)), (first, last, count))
    turns = [pos for (pos,) in found]
    if newest:
        starts = [*turns] if len(turns) == count else [*turns, first]
        ends = [last, *(pos - 1 for pos in turns)][: len(starts)]
        spans = list(zip(starts, ends, strict=True))
        return spans[0 if last_is_message else 1 :: 2]
    ends = [pos - 1 for pos in turns] if len(turns) == count else [*(p - 1 for p in turns), last]
    starts = [first, *turns][: len(ends)]
    spans = list(zip(starts, ends, strict=True))
    return spans[0 if first_is_message else 1 :: 2]


def _order(newest: bool) -> str:
    return "DESC" if newest else "ASC"
