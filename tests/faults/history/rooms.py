"""The rows of rooms as all have seen them: one event for each seq, nothing stale, no hole."""

from __future__ import annotations

from bisect import bisect_right

from tests.faults.history.record import Final, Row
from tests.faults.history.report import Report

NEVER = 1 << 62


class RoomRows:
    """Everything that was seen of one room's log, by whomever, in any order."""

    def __init__(self, room: str, report: Report) -> None:
        self.room = room
        self.rows: dict[int, Row] = {}
        self.seqs: dict[str, int] = {}
        self.finals: dict[str, int] = {}
        self.blanked: set[int] = set()
        self.reads: list[tuple[int, int, int]] = []
        self._known: list[tuple[int, int]] = []
        self._rising: dict[str, int] = {}
        self._report = report

    # ---- rows ----

    def see(self, row: Row) -> None:
        seq = row.seq
        first = self.rows.get(seq)
        if first is None:
            self.rows[seq] = row
            self._note_token(row)
        elif row != first:
            self._compare(first, row)
        if row.gone:
            self.blanked.add(seq)

    def _compare(self, first: Row, row: Row) -> None:
        where = f"seq {row.seq}"
        if row.id != first.id or row.at != first.at:
            self._report.add("order", self.room, f"{where} is {first.id} and {row.id}")
            self._note_token(row)
            return
        if row.fixed and first.fixed and row.fixed != first.fixed:
            self._report.add("changed", self.room, f"{where}, not its content")
        elif row.body and first.body and row.body != first.body and row.gone == first.gone:
            self._report.add("changed", self.room, f"{where}, its content")
        if not first.token and row.token:
            self._note_token(row)
        if (not first.fixed and row.fixed) or (not first.token and row.token):
            self.rows[row.seq] = row

    def _note_token(self, row: Row) -> None:
        if not row.token:
            return
        seq = self.seqs.setdefault(row.token, row.seq)
        if seq != row.seq:
            self._report.add("double", self.room, f"{row.token} is seq {seq} and {row.seq}")

    # ---- reads after answers ----

    def know(self, process: str, t: int, seq: int) -> None:
        """From `t` on `seq` is in the log: somebody was told. Kept where it rises only."""
        if seq > self._rising.get(process, 0):
            self._rising[process] = seq
            self._known.append((t, seq))

    def note_read(self, process: str, began: int, t: int, head: int) -> None:
        self.reads.append((began, t, head))
        self.know(process, t, head)

    def settle_knowledge(self) -> None:
        """Make `known_at` right, once all was added."""
        self._known.sort()
        top = 0
        for place, (t, seq) in enumerate(self._known):
            top = max(top, seq)
            self._known[place] = (t, top)

    def known_at(self, t: int) -> int:
        """The least that the head can have been at `t`."""
        place = bisect_right(self._known, (t, -1))
        return self._known[place - 1][1] if place else 0

    def check_reads(self) -> None:
        for began, _, head in self.reads:
            least = self.known_at(began)
            if head < least:
                self._report.add("stale", self.room, f"read head {head}, {least} was known before")

    # ---- the log at the end ----

    def final(self, record: Final) -> None:
        last = self.finals.get(record.source, 0)
        for row in record.rows:
            if row.seq != last + 1:
                text = f"{record.source}: {last} is followed by {row.seq}"
                self._report.add("hole", self.room, text)
            last = row.seq
            self.see(row)
        self.finals[record.source] = last

    @property
    def head(self) -> int:
        return min(self.finals.values(), default=0)

    def check_final(self) -> None:
        if not self.finals:
            self._report.add("unread", self.room, "nobody read the log at the end")
            return
        if len(set(self.finals.values())) > 1:
            self._report.add("lost", self.room, f"the log ends differently: {self.finals}")
        seen = max(self.rows, default=0)
        if seen > self.head:
            self._report.add("lost", self.room, f"seq {seen} was seen, the log ends at {self.head}")

    def check_order(self, made: list[tuple[int, int, int]]) -> None:
        """`made`: (seq, first asked, first answered or NEVER) of each command that is stored. What
        was answered before another was asked for stands before it."""
        made.sort(reverse=True)
        earliest, by = NEVER, 0
        for seq, asked, answered in made:
            if asked > earliest:
                text = f"seq {by} was answered before seq {seq} was asked for"
                self._report.add("order", self.room, text)
            if answered < earliest:
                earliest, by = answered, seq
