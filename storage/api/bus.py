"""Facts: what parts tell workers, at least once. A fact carries ids, never a body.

Each group has a queue of its own: what it has not finished is never dropped, up to a bound; past
it the oldest become dead letters (reason `overflow`), whose number has a bound too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

MOST_TAKEN = 1_000
"""The largest `limit` of one take."""
REASON_CHARS = 200
OVERFLOW = "overflow"


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


@dataclass(frozen=True, slots=True)
class BusLimits:
    """`waiting`: facts of one group (an implementation may pass it by some thousands for a
    moment). `dead`: dead letters of all groups; past it the oldest are lost.
    """

    waiting: int = 1_000_000
    dead: int = 100_000


def is_wanted(name: str, wants: Collection[str]) -> bool:
    """Whether one of `wants` names it; `message.*` and `*` stand for all that begin so."""
    return any(name.startswith(want[:-1]) if want.endswith("*") else name == want for want in wants)


class Bus(Protocol):
    """Each group gets each fact that it wants, at least once, from when it was made."""

    def wants(self, name: str | None = None) -> bool:
        """Whether to publish such facts (None: any) at all; from memory. True where not known."""
        ...

    def publish(
        self, facts: Sequence[Fact], *, after: asyncio.Future[Any] | None = None
    ) -> Awaitable[None]:
        """Durable when awaited, as far as the store behind it is. For a group that wants none of
        them it costs nothing. Raises Unavailable: publish the same facts again.

        `after`: what a log's `append` returned; nothing is published unless it comes to None. In
        an embedded store both, called in one loop turn, are one transaction.
        """
        ...

    async def join(self, group: str, wants: Collection[str] = ("*",)) -> None:
        """Make the group if it is not there; what it wants is replaced. It gets what is published,
        by any process, from when this returns.
        """
        ...

    async def leave(self, group: str) -> None:
        """Forget the group and what waits for it (dead letters stay)."""
        ...

    async def take(
        self, group: str, consumer: str, *, limit: int, wait_s: float, lease_s: float
    ) -> list[Delivery]:
        """Up to `limit` facts: first those that are due again, then new ones in the order of
        publishing. Waits up to `wait_s` for the first.

        They belong to the consumer for `lease_s`; what is not finished, postponed or buried by
        then (he died) is delivered again to whoever asks. `consumer` is for people who look.

        Raises:
            LookupError: there is no such group (any more).
        """
        ...

    async def done(self, group: str, handles: Collection[str]) -> None: ...

    async def postpone(self, group: str, delays_s: Mapping[str, float]) -> None:
        """To be delivered again, each handle after its delay, to whoever asks."""
        ...

    async def bury(self, group: str, deliveries: Collection[Delivery], reason: str) -> None:
        """Give them up: into the dead letters, out of the group's way, in one step."""
        ...

    async def dead(
        self, *, group: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        """Oldest first; `after`: a dead letter's id, exclusive."""
        ...

    async def replay(self, ids: Collection[str]) -> int:
        """Deliver these again to their groups, attempts from 1. Returns how many went; those whose
        group is gone, and ids that are not there, stay out.
        """
        ...

    async def drop(self, ids: Collection[str]) -> int:
        """Forget these dead letters. Returns how many there were."""
        ...

    async def waiting(self) -> dict[str, int]:
        """Facts not yet finished, by group."""
        ...
