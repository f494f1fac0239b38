"""What a worker runs, and what it makes of the answers: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from storage.api import Delivery, Fact

FIRST_PAUSE_S = 1.0
GROWTH = 4.0
LONGEST_PAUSE_S = 3_600.0
"""1 s, 4 s, 16 s ... an hour: eight attempts last about 80 minutes."""
JITTER = 0.25
"""A pause is up to so much shorter or longer: what failed together does not come back together."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. `after_s`: what the other side asked for, if it is longer than our pause."""

    reason: str
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Never. `each` False: of these facts one or another is to blame, so each is tried alone."""

    reason: str
    each: bool = False


Verdict = Retry | GiveUp | None
"""None: done."""

Handle = Callable[[Sequence[Fact]], Coroutine[Any, Any, Verdict]]


@dataclass(frozen=True, slots=True)
class Handler:
    """Named by its group. `handle` gets up to `batch` facts and may get any of them again: it
    knows them by their ids. `limit_s` for one call; `at_once` calls are under way at most.
    """

    group: str
    wants: tuple[str, ...]
    handle: Handle
    batch: int = 1
    at_once: int = 4
    limit_s: float = 30.0

    @property
    def lease_s(self) -> float:
        """How long what was taken may wait for its turn and be handled."""
        return 4 * self.limit_s + 10.0


def pause_s(attempts: int, chance: float) -> float:
    """Before the next attempt. `chance`: 0 to 1. Each pause is longer than the one before it."""
    grown = min(FIRST_PAUSE_S * GROWTH ** min(attempts - 1, 32), LONGEST_PAUSE_S)
    return grown * (1 - JITTER + 2 * JITTER * chance)


def goes_alone(delivery: Delivery, attempts: int) -> bool:
    """In the second half of its attempts: a fact that always fails takes no other with it."""
    return delivery.attempts * 2 > attempts


def batches(
    deliveries: Sequence[Delivery], size: int, *, alone: Callable[[Delivery], bool]
) -> list[list[Delivery]]:
    together = [delivery for delivery in deliveries if not alone(delivery)]
    parts = [together[start : start + size] for start in range(0, len(together), size)]
    return parts + [[delivery] for delivery in deliveries if alone(delivery)]
