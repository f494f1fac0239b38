"""Any order of calls does to SQLite and Redis what it does to the bus in memory."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from storage.api import Delivery
from tests.support.buses import BusHouse, fact, open_bus

GROUPS = ("push", "search")
LEASE_S = 50.0
STEPS = 80


class Twin:
    """One of the two under comparison; facts are known by their seq."""

    def __init__(self, house: BusHouse) -> None:
        self.house, self.bus = house, house.bus
        self.held: dict[str, dict[int, Delivery]] = {group: {} for group in GROUPS}

    async def take(self, group: str) -> Any:
        try:
            taken = await self.bus.take(group, "w", limit=900, wait_s=0, lease_s=LEASE_S)
        except LookupError:
            return "no such group"
        numbers = {int(delivery.fact.data["seq"]): delivery for delivery in taken}
        assert len(numbers) == len(taken)
        self.held[group] |= numbers
        return {number: delivery.attempts for number, delivery in numbers.items()}

    async def done(self, group: str, numbers: list[int]) -> None:
        await self.bus.done(group, [self.held[group][n].handle for n in numbers])

    async def postpone(self, group: str, numbers: list[int], delay_s: float) -> None:
        handles = {self.held[group][n].handle: delay_s for n in numbers}
        await self.bus.postpone(group, handles)

    async def bury(self, group: str, numbers: list[int], reason: str) -> None:
        await self.bus.bury(group, [self.held[group][n] for n in sorted(numbers)], reason)

    async def dead(self, group: str | None) -> list[Any]:
        letters = await self.bus.dead(group=group, limit=900)
        return [(d.group, d.fact.data["seq"], d.attempts, d.reason) for d in letters]

    async def replay_or_drop(self, what: str, places: list[int]) -> int:
        letters = await self.bus.dead(limit=900)
        ids = [letters[place].id for place in places if place < len(letters)]
        return await (self.bus.replay(ids) if what == "replay" else self.bus.drop(ids))


async def step(twin: Twin, plan: tuple[Any, ...]) -> Any:
    match plan:
        case "publish", numbers, name:
            await twin.bus.publish([fact(number, name) for number in numbers])
        case "join", group, wants:
            await twin.bus.join(group, wants)
        case "leave", group:
            await twin.bus.leave(group)
        case "passes", seconds:
            await twin.house.passes(seconds)
        case ("replay" | "drop") as what, places:
            return await twin.replay_or_drop(what, places)
        case what, group, *more:
            return await getattr(twin, what)(group, *more)
    return await twin.bus.waiting()


def next_plan(chance: random.Random, number: int, held: dict[str, dict[int, Delivery]]) -> Any:
    """Delays, leases and steps of time are 10 s apart at least: Redis's time is real."""
    group = chance.choice(GROUPS)
    some = [n for n in held[group] if chance.random() < 0.5]
    names = ("message.stored", "session.ended")
    plans: list[tuple[int, tuple[Any, ...]]] = [
        (5, ("publish", range(number, number + chance.randint(1, 4)), chance.choice(names))),
        (2, ("join", group, chance.choice([("*",), ("message.*",), ("session.ended",)]))),
        (1, ("leave", group)),
        (5, ("take", group)),
        (3, ("done", group, some)),
        (2, ("postpone", group, some, chance.choice([0.0, 10.0, 30.0, 70.0]))),
        (2, ("bury", group, some, chance.choice(["no", "never"]))),
        (1, ("dead", chance.choice([group, None]))),
        (1, ("replay", [chance.randint(0, 5) for _ in range(3)])),
        (1, ("drop", [chance.randint(0, 5)])),
        (4, ("passes", chance.choice([20.0, 40.0, 60.0]))),
    ]
    return chance.choices([plan for _, plan in plans], [weight for weight, _ in plans])[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("round_", range(10))
async def test_it_does_what_the_bus_in_memory_does(
    kind: str, round_: int, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed + round_)
    async with AsyncExitStack() as stack:
        model = Twin(await stack.enter_async_context(open_bus("memory", tmp_path)))
        real = Twin(await stack.enter_async_context(open_bus(kind, tmp_path)))
        for twin in (model, real):
            await twin.bus.join("push")
        for number in range(0, STEPS * 4, 4):
            plan = next_plan(chance, number, model.held)

            assert await step(real, plan) == await step(model, plan), plan
