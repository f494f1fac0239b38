"""The nemesis strikes all that it has, heals what it struck, and repeats itself by its seed."""

from __future__ import annotations

import itertools

from tests.faults.history.nemesis import Fault, Nemesis, schedule

DECKS = {"hub": 2, "store": 3, "link": 4}


class Parts:
    def __init__(self) -> None:
        self.broken: list[str] = []
        self.told: list[str] = []

    def faults(self) -> list[Fault]:
        return [
            self._fault(f"{deck} {number}", deck)
            for deck, count in DECKS.items()
            for number in range(count)
        ]

    def _fault(self, name: str, deck: str) -> Fault:
        async def strike() -> None:
            self.broken.append(name)

        async def heal() -> None:
            self.broken.remove(name)

        return Fault(name, deck, deck, 0.01, strike, heal)


def _names(seed: int, count: int) -> list[str]:
    return [strike.name for strike in itertools.islice(schedule(Parts().faults(), seed), count)]


def test_a_seed_is_a_schedule():
    assert _names(5, 40) == _names(5, 40)
    assert _names(5, 40) != _names(6, 40)


def test_every_fault_comes_alone_or_first_of_a_pair_before_its_deck_is_dealt_again():
    rounds = max(DECKS.values())
    led = [name.partition(" + ")[0] for name in _names(1, rounds * len(DECKS))]

    assert set(led) == {fault.name for fault in Parts().faults()}


def test_a_pair_breaks_two_parts():
    for name in _names(2, 60):
        one, _, other = name.partition(" + ")
        assert not other or one.split()[0] != other.split()[0]


async def test_when_it_is_over_all_is_healed():
    parts = Parts()
    nemesis = Nemesis(schedule(parts.faults(), 3, rest_s=(0.0, 0.0)), 0.2, parts.told.append)

    await nemesis.run()

    assert parts.broken == []
    assert nemesis.struck
    assert len(parts.told) == 2 * len(nemesis.struck)
