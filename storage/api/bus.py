"""Facts: what parts tell workers, at least once. A fact carries ids, never a body."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """Something that happened, named in the past tense with a dot: `message.stored`.

    `id` is the same when the fact is told again, so that handlers know it. `data`: ids and numbers.
    """

    name: str
    id: str
    at: int
    data: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A fact for a consumer. `handle` names it to the bus; `attempts` counts from 1."""

    handle: str
    fact: Fact
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A fact that a group gave up. `id` names it for `replay` and `drop`."""

    id: str
    group: str
    fact: Fact
    attempts: int
    reason: str
    died_at: int


class Bus(Protocol):
    """Each group gets each fact published since the group was made, at least once."""

    def publish(self, facts: Sequence[Fact]) -> Awaitable[None]:
        """Durable when awaited. A plain call: in an embedded store what is called in one loop turn
        with a log's `append` is one transaction with it. With no group this does nothing.
        """
        ...

    async def join(self, group: str) -> None:
        """Make the group if it is not there. It begins with what is published from now on."""
        ...

    async def leave(self, group: str) -> None:
        """Forget the group and what waits for it (dead letters stay)."""
        ...

    async def take(
        self, group: str, consumer: str, *, limit: int, wait_s: float, claim_after_s: float
    ) -> list[Delivery]:
        """Facts for one consumer of a group: first those that another one took and neither
        finished nor refused for `claim_after_s`, then new ones. Waits up to `wait_s` for the first.
        """
        ...

    async def done(self, group: str, handles: Collection[str]) -> None: ...

    async def postpone(self, group: str, handles: Collection[str], delay_s: float) -> None:
        """To be delivered again, not before `delay_s` (as near as the implementation can)."""
        ...

    async def bury(self, group: str, delivery: Delivery, reason: str, now_ms: int) -> None:
        """Give it up: into the dead letters, out of the group's way, in one step."""
        ...

    async def dead(
        self, *, group: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        """Oldest first; `after`: a dead letter's id, exclusive."""
        ...

    async def replay(self, ids: Collection[str]) -> int:
        """Deliver these again to their groups, attempts from 1. Returns how many there were."""
        ...

    async def drop(self, ids: Collection[str]) -> int: ...

    async def waiting(self) -> dict[str, int]:
        """Facts not yet finished, by group."""
        ...
