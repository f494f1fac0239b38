"""Whose login ends leaves his calls, unless the device has another login."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.compose.logouts import Logouts
from server.kernel.ids import DeviceId, SessionId, UserId
from server.kernel.tasks import TaskOwner
from tests.support.accounts_house import House, open_house
from tests.support.waiting import until


class Calls:
    def __init__(self) -> None:
        self.out: list[tuple[str, str]] = []

    def device_out(self, user_id: UserId, device_id: DeviceId) -> None:
        self.out.append((user_id, device_id))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = await open_house()
    yield opened
    await opened.close()


async def ends(house: House, *sessions: dict[str, Any]) -> list[tuple[str, str]]:
    """Who is out of his calls when these logins have ended."""
    calls, tasks = Calls(), TaskOwner("logouts")
    logouts = Logouts(calls, house.store.accounts, clock=house.clock, tasks=tasks)
    ids = [SessionId(session["session_id"]) for session in sessions]

    await house.accounts.sessions.end(ids, "revoked")
    logouts.sessions_ended(ids)
    await until(lambda: not tasks)
    return calls.out


async def test_a_device_without_login_is_out_of_its_calls(house: House) -> None:
    laptop = await house.sign_up("alice")
    _, phone = await house.log_in("alice")

    out = await ends(house, phone)

    assert out == [(laptop["user"]["id"], phone["device"]["id"])]


async def test_a_device_with_another_login_stays(house: House) -> None:
    first = await house.sign_up("alice")
    _, second = await house.log_in("alice", device_id=first["device"]["id"])

    assert await ends(house, first) == []
    assert await ends(house, second) == [(first["user"]["id"], first["device"]["id"])]


async def test_while_the_store_is_away_the_grace_decides(house: House) -> None:
    laptop = await house.sign_up("alice")
    calls, tasks = Calls(), TaskOwner("logouts")
    logouts = Logouts(calls, house.store.accounts, clock=house.clock, tasks=tasks)

    house.store.outage = True
    logouts.sessions_ended([SessionId(laptop["session_id"])])
    await until(lambda: not tasks)

    assert calls.out == []
