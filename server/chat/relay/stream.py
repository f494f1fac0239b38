"""The order of one room's events at one node, wherever they come from: writer, other nodes, log."""

from __future__ import annotations

from typing import Generic, TypeVar

from server.kernel.ids import Seq

_T = TypeVar("_T")

MAX_HELD = 1_000
"""Events held back behind a gap; past it they are dropped and read from the log again."""


class RoomStream(Generic[_T]):
    """Lets events through in the order of `seq`, each once. `told`: the last one let through; None:
    not known yet, all are held.
    """

    __slots__ = ("_held", "behind", "told")

    def __init__(self, told: Seq | None = None) -> None:
        self.told = told
        self.behind = False
        """Something was dropped: only the log knows what follows."""
        self._held: dict[int, _T] = {}

    @property
    def gap(self) -> bool:
        """Something is held, because something before it is missing."""
        return self.behind or bool(self._held)

    def begin(self, told: Seq) -> list[_T]:
        """Everything up to `told` is not for us. Returns what may go now."""
        if self.told is None or told > self.told:
            self.told = told
        return self._release()

    def offer(self, seq: int, item: _T) -> list[_T]:
        """Returns what may go now, in order; a seq that was let through before changes nothing."""
        told = self.told
        if told is not None:
            if seq <= told:
                return []
            if seq == told + 1 and not self._held:
                self.told = Seq(seq)
                return [item]
        if len(self._held) < MAX_HELD or seq in self._held or seq == (told or 0) + 1:
            self._held[seq] = item
        else:
            self.behind = True
        return self._release()

    def _release(self) -> list[_T]:
        if self.told is None:
            return []
        ready: list[_T] = []
        told: int = self.told
        if self._held and min(self._held) <= told:
            self._held = {seq: item for seq, item in self._held.items() if seq > told}
        while (item := self._held.pop(told + 1, None)) is not None:
            told += 1
            ready.append(item)
        self.told = Seq(told)
        return ready
