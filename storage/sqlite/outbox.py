"""What the bus does inside the writer's transaction, and how it asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from storage.api.bus import OVERFLOW, REASON_CHARS, BusLimits
from storage.sqlite.connection import listed
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Job

AGAIN = """SELECT pos, fact, attempts + 1 FROM outbox
    WHERE grp = ? AND due > 0 AND due <= ? ORDER BY due, pos LIMIT ?"""
FRESH = """SELECT pos, fact, attempts + 1 FROM outbox
    WHERE grp = ? AND due = 0 ORDER BY pos LIMIT ?"""
LEASE = """UPDATE outbox SET due = ?, attempts = attempts + 1
    WHERE pos IN (SELECT value FROM json_each(?))"""
NEXT_DUE = "SELECT min(due) FROM outbox WHERE grp = ? AND due > 0"
# By their numbers, never through all of a group's rows: hence NOT INDEXED.
DONE = "DELETE FROM outbox NOT INDEXED WHERE grp = ? AND pos IN (SELECT value FROM json_each(?))"
POSTPONE = "UPDATE outbox NOT INDEXED SET due = ? WHERE grp = ? AND pos = ?"
BURY = """INSERT INTO dead_letters (grp, fact, attempts, reason, died_at)
    SELECT ?, fact, attempts, ?, ? FROM outbox NOT INDEXED
    WHERE grp = ? AND pos IN (SELECT value FROM json_each(?)) ORDER BY pos"""
TRIM_DEAD = """DELETE FROM dead_letters WHERE id IN
    (SELECT id FROM dead_letters ORDER BY id DESC LIMIT -1 OFFSET ?)"""
OLDEST = """SELECT pos FROM outbox NOT INDEXED WHERE grp = ?1 ORDER BY pos
    LIMIT max(0, (SELECT count(*) FROM outbox WHERE grp = ?1) - ?2)"""
DEAD = """SELECT id, grp, fact, attempts, reason, died_at FROM dead_letters
    WHERE id > ? AND (?2 IS NULL OR grp = ?2) ORDER BY id LIMIT ?"""
REPLAY = """INSERT INTO outbox (grp, fact)
    SELECT key, fact FROM dead_letters JOIN bus_groups ON name = grp
    WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"""
REPLAYED = """DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))
    AND grp IN (SELECT name FROM bus_groups)"""
DROP = "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))"
WAITING = """SELECT name, (SELECT count(*) FROM outbox WHERE grp = key) FROM bus_groups
    ORDER BY name"""
JOIN = """INSERT INTO bus_groups (name, wants) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET wants = excluded.wants"""


def tell(rows: Sequence[tuple[int, str]], after: Job | None, tx: Transaction) -> None:
    if after is None or (after.error is None and after.outcome is None):
        tx.tell(rows)


def take(
    key: int, limit: int, now_ms: int, lease_ms: int, tx: Transaction
) -> tuple[list[Any], int | None]:
    """The rows, and when the next is due if there are none."""
    rows = tx.ask(AGAIN, (key, now_ms, limit))
    if len(rows) < limit:
        rows += tx.ask(FRESH, (key, limit - len(rows)))
    if not rows:
        return [], tx.ask(NEXT_DUE, (key,))[0][0]
    tx.execute(LEASE, (now_ms + lease_ms, listed(row[0] for row in rows)))
    return rows, None


def bury(
    tx: Transaction, name: str, key: int, handles: str, *, reason: str, now_ms: int, most: int
) -> None:
    tx.execute(BURY, (name, reason[:REASON_CHARS], now_ms, key, handles))
    tx.execute(DONE, (key, handles))
    tx.execute(TRIM_DEAD, (most,))


def cut(groups: Sequence[tuple[str, int]], now_ms: int, limits: BusLimits, tx: Transaction) -> None:
    for name, key in groups:
        oldest = [pos for (pos,) in tx.ask(OLDEST, (key, limits.waiting))]
        if oldest:
            bury(tx, name, key, listed(oldest), reason=OVERFLOW, now_ms=now_ms, most=limits.dead)


def numbers(ids: Iterable[str]) -> str:
    """Those of them that can be ids of ours, for json_each."""
    return listed(int(number) for number in ids if number.isdecimal() and len(number) < 19)
