"""The breaker around calls to a server."""

from __future__ import annotations

import asyncio

import pytest

from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from storage.guard import FAILURES, OPEN_S, Guard


@pytest.fixture
def clock() -> Virtual:
    return Virtual()


@pytest.fixture
def guard(clock: Virtual) -> Guard:
    return Guard("The store", clock, faults=(OSError,), limit_s=0.05)


async def serve() -> str:
    return "served"


async def fail() -> None:
    raise OSError


async def refuse() -> None:
    raise KeyError


async def broken(guard: Guard) -> Guard:
    for _ in range(FAILURES):
        with pytest.raises(Unavailable):
            await guard.call(fail())
    return guard


async def test_after_some_failures_in_a_row_calls_are_refused_at_once(guard: Guard) -> None:
    asked = False

    async def ask() -> None:
        nonlocal asked
        asked = True

    await broken(guard)
    with pytest.raises(Unavailable):
        await guard.call(ask())

    assert not asked


async def test_one_call_a_second_finds_out_whether_it_is_back(guard: Guard, clock: Virtual) -> None:
    await broken(guard)
    clock.advance(OPEN_S)

    assert await guard.call(serve()) == "served"
    assert await guard.call(serve()) == "served"
    assert guard.failures == 0


async def test_a_probe_that_fails_keeps_the_others_out(guard: Guard, clock: Virtual) -> None:
    await broken(guard)
    clock.advance(OPEN_S)
    with pytest.raises(Unavailable):
        await guard.call(fail())

    with pytest.raises(Unavailable):
        await guard.call(serve())


async def test_a_server_that_refuses_what_was_asked_is_there(guard: Guard, clock: Virtual) -> None:
    await broken(guard)
    clock.advance(OPEN_S)

    with pytest.raises(KeyError):
        await guard.call(refuse())

    assert await guard.call(serve()) == "served"


async def test_a_call_that_takes_too_long_is_given_up(guard: Guard) -> None:
    with pytest.raises(Unavailable):
        await guard.call(asyncio.Event().wait())

    assert guard.failures == 1


async def test_a_failure_between_successes_does_not_add_up(guard: Guard) -> None:
    for _ in range(3 * FAILURES):
        with pytest.raises(Unavailable):
            await guard.call(fail())
        await guard.call(serve())

    assert not guard.is_open
