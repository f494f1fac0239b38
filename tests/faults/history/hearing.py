"""What each connection heard: live events without a gap, and with `sync` all of the log."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.history.record import Live, Row, Synced
from tests.faults.history.report import Report


@dataclass(slots=True)
class Ear:
    """One room on one connection. 0: nothing yet; `after` -1: not synced."""

    conn: int
    after: int = -1
    synced_to: int = 0
    complete: bool = False
    live_first: int = 0
    live_last: int = 0


class Hearing:
    """One client in one room, over all its connections: `reach` is how far it has everything."""

    def __init__(self, process: str, room: str, report: Report) -> None:
        self.process = process
        self.room = room
        self.reach = 0
        self._ear = Ear(0)
        self._report = report

    def live(self, record: Live) -> None:
        ear = self._on(record.conn)
        seq = record.row.seq
        if not ear.live_first:
            ear.live_first = seq
        elif seq != ear.live_last + 1:
            text = f"{self.process}: {ear.live_last} is followed by {seq}"
            self._report.add("ascend", self.room, text)
        ear.live_last = seq

    def synced(self, record: Synced) -> None:
        ear = self._on(record.conn)
        if record.reset:
            self._report.add("resume", self.room, f"{self.process}: the log was another one")
        if ear.after < 0:
            ear.after = record.after
            if record.after > self.reach:
                text = f"{self.process}: asked from {record.after}, had all up to {self.reach} only"
                self._report.add("resume", self.room, text)
        last = self._follow(record.after, record.rows)
        ear.synced_to = max(ear.synced_to, last)
        if not record.more:
            ear.complete = True
            if last < record.head:
                text = f"{self.process}: sync ended at {last} of {record.head}"
                self._report.add("resume", self.room, text)

    def _follow(self, last: int, rows: tuple[Row, ...]) -> int:
        for row in rows:
            if row.seq != last + 1:
                text = f"{self.process}: in sync {last} is followed by {row.seq}"
                self._report.add("resume", self.room, text)
            last = row.seq
        return last

    def end(self) -> None:
        """The connection is over: what of the log was it told?"""
        ear = self._ear
        if ear.complete and ear.live_first > ear.synced_to + 1:
            text = (
                f"{self.process}: sync gave up to {ear.synced_to}, "
                f"live events began with {ear.live_first}"
            )
            self._report.add("resume", self.room, text)
        if 0 <= ear.after <= self.reach:
            self.reach = max(self.reach, ear.synced_to)
        if 0 < ear.live_first <= self.reach + 1:
            self.reach = max(self.reach, ear.live_last)

    def _on(self, conn: int) -> Ear:
        if conn != self._ear.conn:
            self.end()
            self._ear = Ear(conn)
        return self._ear
