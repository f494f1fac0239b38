"""Good histories without a server: a flawless room and clients with breaking lines, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.faults.history.record import (
    Closed,
    Final,
    Invoke,
    Live,
    Ok,
    Opened,
    Page,
    Record,
    Refused,
    Row,
    Settled,
    Synced,
    Unknown,
)

STEP_NS = 1_000_000


def rehearse(
    seed: int, *, processes: int = 3, commands: int = 40, room: str = "garden"
) -> list[Record]:
    """Each client sends, loses answers and retries, loses its line and resumes, reads pages."""
    return list(_Stage(random.Random(seed), processes, room).play(commands))


class _Stage:
    def __init__(self, chance: random.Random, processes: int, room: str) -> None:
        self._chance = chance
        self._room = room
        self._t = 0
        self._op = 0
        self._rows = [Row(1, f"{room}-1", 1, "fixed-1", "body-1", "", "room")]
        self._made: dict[str, Row] = {}
        self._reach = dict.fromkeys((f"p{n}" for n in range(processes)), 0)
        self._conn = dict.fromkeys(self._reach, 0)
        self._open: list[tuple[str, str]] = []

    def play(self, commands: int) -> Iterator[Record]:
        for process in self._reach:
            yield from self._connect(process)
        for number in range(commands):
            process = self._chance.choice(list(self._reach))
            if self._chance.random() < 0.1:
                yield from self._break(process)
            if self._open and self._chance.random() < 0.3:
                yield from self._retry()
            yield from self._command(process, f"{self._room}-c{number}")
            if self._chance.random() < 0.3:
                yield self._page(process)
        while self._open:
            yield from self._retry()
        for process in self._reach:
            yield Settled(self._now(), process, self._room)
        for source in ("api", "store"):
            yield Final(self._now(), source, self._room, len(self._rows), tuple(self._rows))

    def _now(self) -> int:
        self._t += STEP_NS
        return self._t

    def _connect(self, process: str) -> Iterator[Record]:
        self._conn[process] += 1
        conn, began, after = self._conn[process], self._now(), self._reach[process]
        yield Opened(began, process, conn, "hub")
        yield Synced(
            began, self._now(), process, conn, self._room, after, len(self._rows), False, False,
            tuple(self._rows[after:]),
        )  # fmt: skip
        self._reach[process] = len(self._rows)

    def _break(self, process: str) -> Iterator[Record]:
        yield Closed(self._now(), process, self._conn[process], "rehearsed")
        for number in range(self._chance.randrange(3)):
            others = [other for other in self._reach if other != process]
            row = self._store(f"{self._room}-away{self._t}-{number}", "message")
            yield Invoke(
                self._now(), others[0], self._conn[others[0]], self._next_op(), self._room,
                others[0], row.token, "message:send",
            )  # fmt: skip
            yield Unknown(self._now(), others[0], self._op, "disconnected")
            yield from self._tell(row, others)
        yield from self._connect(process)

    def _command(self, process: str, cid: str) -> Iterator[Record]:
        yield self._invoke(process, cid)
        luck = self._chance.random()
        if luck < 0.05:
            yield Refused(self._now(), process, self._op, "rate_limited")
            return
        op = self._op
        if luck > 0.1:
            row = self._store(cid, "message")
            yield from self._tell(row, list(self._reach))
        if luck < 0.3:
            self._open.append((process, cid))
            yield Unknown(self._now(), process, op, "disconnected")
        else:
            yield Ok(self._now(), process, op, row.seq, row.id, row.at)

    def _retry(self) -> Iterator[Record]:
        process, cid = self._open.pop(0)
        yield self._invoke(process, cid)
        op = self._op
        row = self._made.get(cid)
        if row is None:
            row = self._store(cid, "message")
            yield from self._tell(row, list(self._reach))
        yield Ok(self._now(), process, op, row.seq, row.id, row.at)

    def _invoke(self, process: str, cid: str) -> Invoke:
        conn, op = self._conn[process], self._next_op()
        return Invoke(self._now(), process, conn, op, self._room, process, cid, "message:send")

    def _next_op(self) -> int:
        self._op += 1
        return self._op

    def _store(self, cid: str, kind: str) -> Row:
        seq = len(self._rows) + 1
        row = Row(seq, f"{self._room}-{seq}", self._t, f"fixed-{seq}", f"body-{seq}", cid, kind)
        self._rows.append(row)
        self._made[cid] = row
        return row

    def _tell(self, row: Row, processes: list[str]) -> Iterator[Record]:
        for process in processes:
            self._reach[process] = row.seq
            yield Live(self._now(), process, self._conn[process], self._room, row)

    def _page(self, process: str) -> Page:
        began = self._now()
        head = len(self._rows)
        rows = tuple(self._rows[max(0, head - 5) :])
        return Page(began, self._now(), process, self._room, -1, head, rows)
