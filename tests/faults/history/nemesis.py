"""Who breaks things: faults one at a time and in pairs, by a seed, each healed again."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

Deed = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """`part` is what it breaks: a pair never breaks the same part twice, since what a cluster
    stands is one node of each kind. `deck`: faults of a kind, which take turns with the other
    kinds. `lasts_s`: between `strike` and `heal`.
    """

    name: str
    part: str
    deck: str
    lasts_s: float
    strike: Deed
    heal: Deed


@dataclass(frozen=True)
class Strike:
    """Faults that begin `rest_s` after the ones before are healed."""

    rest_s: float
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        return " + ".join(fault.name for fault in self.faults)

    @property
    def lasts_s(self) -> float:
        return max(fault.lasts_s for fault in self.faults)


def schedule(
    faults: Sequence[Fault], seed: int, *, rest_s: tuple[float, float] = (2.0, 5.0)
) -> Iterator[Strike]:
    """Without an end: in each round one fault of each deck, in a random order; every other round
    they come in pairs. A deck is gone through before it is shuffled again.
    """
    chance = random.Random(seed)
    decks = {deck: _dealt(deck, faults, chance) for deck in sorted({f.deck for f in faults})}
    for pairs in itertools.cycle((False, True)):
        for deck in chance.sample(list(decks), len(decks)):
            fault = next(decks[deck])
            others = [other for other in faults if other.part != fault.part]
            both = (fault, chance.choice(others)) if pairs and others else (fault,)
            yield Strike(round(chance.uniform(*rest_s), 1), both)


def _dealt(deck: str, faults: Sequence[Fault], chance: random.Random) -> Iterator[Fault]:
    cards = [fault for fault in faults if fault.deck == deck]
    while True:
        yield from chance.sample(cards, len(cards))


class Nemesis:
    """Strikes for `seconds`. `told` is the course of events, in seconds since the start."""

    def __init__(
        self, strikes: Iterator[Strike], seconds: float, say: Callable[[str], None]
    ) -> None:
        self._strikes = strikes
        self._seconds = seconds
        self._say = say
        self._began = time.monotonic()
        self.struck: list[str] = []

    async def run(self) -> None:
        """Everything is healed when this returns, and when it is cancelled."""
        self._began = time.monotonic()
        end = self._began + self._seconds
        for strike in self._strikes:
            if time.monotonic() + strike.rest_s + strike.lasts_s > end:
                await asyncio.sleep(max(0.0, end - time.monotonic()))
                return
            await asyncio.sleep(strike.rest_s)
            await self._carry_out(strike)

    async def _carry_out(self, strike: Strike) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in strike.faults:
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        self.struck.append(fault.name)
        self._tell(f"{fault.name}, {fault.lasts_s:g} s")
        try:
            await fault.strike()
            await asyncio.sleep(fault.lasts_s)
        finally:
            await fault.heal()
            self._tell(f"{fault.name} is over")

    def _tell(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {text}")
