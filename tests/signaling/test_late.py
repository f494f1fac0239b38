"""A call that is over is over for everybody and for long, and for strangers there was none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.kernel.errors import AppError, Conflict, NotFound
from server.kernel.events import Context
from tests.support.calls_cluster import CallsCluster, calls_cluster
from tests.support.calls_house import CallsHouse, calls_house

COMMANDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("call:accept", {}),
    ("call:signal", {"to_device_id": "alice", "signal": 1}),
    ("call:mute", {"track_id": "mic", "muted": True}),
    ("call:decline", {}),
    ("call:leave", {}),
    ("call:end", {}),
)
OVER = ["conflict", "conflict", "conflict", "ok", "ok", "ok"]


@pytest.fixture
async def house() -> AsyncIterator[CallsHouse]:
    async with calls_house() as opened:
        opened.room("duo", "alice", "bob")
        opened.room("garden", "alice", "bob", "carol")
        yield opened


@pytest.fixture
async def cluster() -> AsyncIterator[CallsCluster]:
    async with calls_cluster() as opened:
        opened.room("duo", "alice", "bob")
        yield opened


async def told(house: CallsHouse, ctx: Context, call_id: str) -> list[str]:
    """The code of each command's refusal, or ok."""
    codes = []
    for name, more in COMMANDS:
        try:
            await house.asks(ctx, name, call_id=call_id, **more)
            codes.append("ok")
        except AppError as refusal:
            codes.append(refusal.code)
    return codes


async def ended(house: CallsHouse, room_id: str = "duo", *, answered: bool = True) -> str:
    alice, bob = house.opens("alice"), house.opens("bob")
    call_id = (await house.asks(alice, "call:start", room_id=room_id, media="audio"))["call"]["id"]
    if answered:
        await house.asks(bob, "call:accept", call_id=call_id)
    await house.asks(alice, "call:leave", call_id=call_id)
    return str(call_id)


async def restarts(house: CallsHouse) -> None:
    await house.is_killed()
    await house.starts()


@pytest.mark.parametrize("answered", [True, False])
async def test_a_call_that_ended_before_a_restart_is_over(
    house: CallsHouse, answered: bool
) -> None:
    call_id = await ended(house, answered=answered)
    await restarts(house)

    assert await told(house, house.opens("alice"), call_id) == OVER


async def test_a_call_that_ended_long_ago_is_over(house: CallsHouse) -> None:
    call_id = await ended(house)
    await house.passes(700)
    await ended(house)  # forgets what ended before

    assert house.calls.exchange.core.call(call_id) is None
    assert await told(house, house.opens("alice"), call_id) == OVER


async def test_only_who_might_have_ended_it_may_still_say_so(house: CallsHouse) -> None:
    call_id = await ended(house, "garden", answered=False)
    await restarts(house)

    with pytest.raises(AppError) as refused:
        await house.asks(house.opens("carol"), "call:end", call_id=call_id)
    assert refused.value.code == "forbidden"


async def test_for_strangers_there_was_none(house: CallsHouse) -> None:
    call_id = await ended(house)
    await restarts(house)
    carol, alice = house.opens("carol"), house.opens("alice")

    strange, invented = await told(house, carol, call_id), await told(house, alice, "invented")

    assert (strange, invented) == (["not_found"] * 6, ["not_found"] * 6)


async def test_what_is_over_is_read_once_and_neither_logged_nor_kept_again(
    house: CallsHouse,
) -> None:
    call_id = await ended(house)
    await restarts(house)
    alice = house.opens("alice")
    await told(house, alice, call_id)
    house.store.call_quality.get = never  # type: ignore[method-assign]

    again = await told(house, alice, call_id)

    assert again == OVER
    assert len(house.log.records) == 1
    assert await house.store.calls.all() == []


async def test_it_is_over_at_nodes_that_never_heard_of_it(cluster: CallsCluster) -> None:
    one, two = await cluster.starts("one", "two")
    call_id = await ended(one)

    assert await told(two, two.opens("alice"), call_id) == OVER


async def test_it_is_over_when_the_node_that_carried_it_is_gone(cluster: CallsCluster) -> None:
    one, two = await cluster.starts("one", "two")
    alice = two.opens("alice")
    call_id = await ended(one)
    await cluster.dies(one)

    assert await told(two, alice, call_id) == OVER


async def test_it_is_over_when_the_node_that_carried_it_has_forgotten_it(
    cluster: CallsCluster,
) -> None:
    """The other one still knows the way there."""
    one, two = await cluster.starts("one", "two")
    alice, bob = one.opens("alice"), two.opens("bob")
    call_id = (await one.asks(alice, "call:start", room_id="duo", media="audio"))["call"]["id"]
    await two.asks(bob, "call:accept", call_id=call_id)
    await two.asks(bob, "call:leave", call_id=call_id)
    one.calls.exchange.core.drop(call_id)

    with pytest.raises(Conflict):
        await two.asks(bob, "call:accept", call_id=call_id)
    with pytest.raises(NotFound):
        await two.asks(two.opens("carol"), "call:accept", call_id=call_id)


async def never(*_: object) -> None:
    raise AssertionError("asked again")
