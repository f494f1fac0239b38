"""Facts in memory, for tests and for who keeps nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.kernel.clock import Clock
from storage.api.bus import (
    MOST_TAKEN,
    OVERFLOW,
    REASON_CHARS,
    BusLimits,
    DeadLetter,
    Delivery,
    Fact,
    is_wanted,
)
from storage.memory.gate import Gate, done


@dataclass(slots=True)
class _Entry:
    fact: Fact
    due: float | None = None
    attempts: int = 0


@dataclass(slots=True)
class _Group:
    """`entries` by handle, in the order of publishing. Without `due`: never taken."""

    wants: tuple[str, ...]
    entries: dict[str, _Entry] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def ready(self, now: float, limit: int) -> list[str]:
        entries = self.entries.items()
        again = sorted((e.due, h) for h, e in entries if e.due is not None and e.due <= now)
        fresh = (handle for handle, entry in entries if entry.due is None)
        return list(itertools.islice((*(handle for _, handle in again), *fresh), limit))

    def next_due(self, now: float) -> float:
        """Seconds until something is due again; for ever if nothing is."""
        dues = (entry.due for entry in self.entries.values())
        return min((due - now for due in dues if due is not None), default=float("inf"))


class MemoryBus:
    """Implements `storage.api.Bus`. While `outage` is set every call raises Unavailable."""

    def __init__(self, clock: Clock, limits: BusLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or BusLimits()
        self._gate = Gate()
        self._groups: dict[str, _Group] = {}
        self._dead: dict[str, DeadLetter] = {}
        self._numbers = itertools.count(1)

    @property
    def outage(self) -> bool:
        return self._gate.outage

    @outage.setter
    def outage(self, on: bool) -> None:
        self._gate.outage = on

    def wants(self, name: str | None = None) -> bool:
        groups = self._groups.values()
        return any(name is None or is_wanted(name, group.wants) for group in groups)

    def publish(
        self, facts: Sequence[Fact], *, after: asyncio.Future[Any] | None = None
    ) -> Awaitable[None]:
        if after is not None and not after.done():
            return self._publish_after(facts, after)
        if after is None or after.result() is None:
            self._gate.check()
            self._publish(facts)
        return done(None)

    async def _publish_after(self, facts: Sequence[Fact], after: asyncio.Future[Any]) -> None:
        if await asyncio.shield(after) is None:
            self._gate.check()
            self._publish(facts)

    def _publish(self, facts: Sequence[Fact]) -> None:
        for name, group in self._groups.items():
            self._put(name, group, [fact for fact in facts if is_wanted(fact.name, group.wants)])

    def _put(self, name: str, group: _Group, facts: Iterable[Fact]) -> None:
        for fact in facts:
            group.entries[f"{next(self._numbers):012}"] = _Entry(fact)
        excess = len(group.entries) - self._limits.waiting
        for handle in list(itertools.islice(group.entries, max(0, excess))):
            entry = group.entries.pop(handle)
            self._bury(name, entry.fact, entry.attempts, OVERFLOW)
        group.changed.set()
        group.changed = asyncio.Event()

    async def join(self, group: str, wants: Collection[str] = ("*",)) -> None:
        self._gate.check()
        self._groups.setdefault(group, _Group(())).wants = tuple(wants)

    async def leave(self, group: str) -> None:
        self._gate.check()
        self._groups.pop(group, None)

    async def take(
        self, group: str, consumer: str, *, limit: int, wait_s: float, lease_s: float
    ) -> list[Delivery]:
        give_up = asyncio.get_running_loop().time() + wait_s
        while True:
            self._gate.check()
            there, now = self._groups[group], self._clock.monotonic()
            taken = self._take(there, now, min(limit, MOST_TAKEN), lease_s)
            left = give_up - asyncio.get_running_loop().time()
            if taken or left <= 0:
                return taken
            try:
                async with asyncio.timeout(min(left, there.next_due(now))):
                    await there.changed.wait()
            except TimeoutError:
                continue

    def _take(self, group: _Group, now: float, limit: int, lease_s: float) -> list[Delivery]:
        taken = []
        for handle in group.ready(now, limit):
            entry = group.entries[handle]
            entry.attempts += 1
            entry.due = now + lease_s
            taken.append(Delivery(handle, entry.fact, entry.attempts))
        return taken

    async def done(self, group: str, handles: Collection[str]) -> None:
        self._gate.check()
        if group in self._groups:
            for handle in handles:
                self._groups[group].entries.pop(handle, None)

    async def postpone(self, group: str, delays_s: Mapping[str, float]) -> None:
        self._gate.check()
        if group not in self._groups:
            return
        there, now = self._groups[group], self._clock.monotonic()
        for handle in delays_s.keys() & there.entries.keys():
            there.entries[handle].due = now + delays_s[handle]
        there.changed.set()
        there.changed = asyncio.Event()

    async def bury(self, group: str, deliveries: Collection[Delivery], reason: str) -> None:
        self._gate.check()
        entries = self._groups[group].entries if group in self._groups else {}
        for delivery in deliveries:
            entry = entries.pop(delivery.handle, None)
            if entry is not None:
                self._bury(group, entry.fact, entry.attempts, reason)

    def _bury(self, group: str, fact: Fact, attempts: int, reason: str) -> None:
        number, now_ms = f"{next(self._numbers):012}", self._clock.now_ms()
        self._dead[number] = DeadLetter(
            number, group, fact, attempts, reason[:REASON_CHARS], now_ms
        )
        while len(self._dead) > self._limits.dead:
            del self._dead[next(iter(self._dead))]

    async def dead(
        self, *, group: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        self._gate.check()
        found = (
            letter
            for letter in self._dead.values()
            if (group is None or letter.group == group) and (after is None or letter.id > after)
        )
        return list(itertools.islice(found, limit))

    async def replay(self, ids: Collection[str]) -> int:
        self._gate.check()
        letters = [self._dead[i] for i in sorted(set(ids)) if i in self._dead]
        letters = [letter for letter in letters if letter.group in self._groups]
        for letter in letters:
            del self._dead[letter.id]
            self._put(letter.group, self._groups[letter.group], [letter.fact])
        return len(letters)

    async def drop(self, ids: Collection[str]) -> int:
        self._gate.check()
        return sum(self._dead.pop(number, None) is not None for number in set(ids))

    async def waiting(self) -> dict[str, int]:
        self._gate.check()
        return {name: len(group.entries) for name, group in self._groups.items()}
