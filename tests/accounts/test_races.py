"""What happens at the same time: refreshes, logins past the queue, revocation under way."""

from __future__ import annotations

import asyncio

import pytest

from server.accounts.hashing import PasswordWork
from server.kernel.errors import Unauthorized, Unavailable
from tests.support.accounts_house import House


async def test_two_refreshes_at_once_get_the_same_successor(house: House) -> None:
    alice = await house.sign_up("alice")
    token = alice["refresh_token"]

    first, second = await asyncio.gather(
        house.accounts.sessions.refresh(token), house.accounts.sessions.refresh(token)
    )

    assert first.refresh_token == second.refresh_token


async def test_a_session_ended_while_its_token_is_looked_up_is_refused(house: House) -> None:
    alice = await house.sign_up("alice")
    looking_up = house.accounts.authenticate(alice["access_token"])
    await house.accounts.sessions.end([alice["session_id"]], "revoked")

    with pytest.raises(Unauthorized):
        await looking_up  # type: ignore[misc]


async def test_past_the_queue_a_login_is_asked_to_come_back() -> None:
    work = PasswordWork(threads=1, queue=1)
    waiting = asyncio.create_task(work.verify(None, "x"))
    await asyncio.sleep(0)

    with pytest.raises(Unavailable) as refused:
        await work.verify(None, "x")

    assert refused.value.retry_after_s
    assert not await waiting
    work.close()
