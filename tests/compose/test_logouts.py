"""Whose login ends leaves his calls and, with the last one, his relays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.compose.logouts import Logouts
from server.kernel.ids import DeviceId, SessionId, UserId
from server.kernel.tasks import TaskOwner
from storage.api import Accounts
from tests.support.accounts_house import House, open_house
from tests.support.waiting import until


@dataclass
class Heard:
    """Who is out: of his calls, and of his relays."""

    devices: list[tuple[str, str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    def device_out(self, user_id: UserId, device_id: DeviceId) -> None:
        self.devices.append((user_id, device_id))

    def user_out(self, user_id: UserId) -> None:
        self.users.append(user_id)


class Asked:
    """Accounts that count what is asked of sessions."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.session_ids: list[SessionId] = []
        self.user_ids: list[UserId] = []

    async def session(self, session_id: SessionId) -> Any:
        self.session_ids.append(session_id)
        return await self._accounts.session(session_id)

    async def sessions_of(self, user_id: UserId) -> Any:
        self.user_ids.append(user_id)
        return await self._accounts.sessions_of(user_id)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = await open_house()
    yield opened
    await opened.close()


async def hears(house: House, accounts: Any, *sessions: dict[str, Any]) -> Heard:
    """What is heard of these logins, that have ended."""
    heard, tasks = Heard(), TaskOwner("logouts")
    logouts = Logouts(accounts, calls=heard, relays=heard, clock=house.clock, tasks=tasks)
    logouts.sessions_ended([SessionId(session["session_id"]) for session in sessions])
    await until(lambda: not tasks)
    return heard


async def ends(house: House, *sessions: dict[str, Any]) -> Heard:
    ids = [SessionId(session["session_id"]) for session in sessions]
    await house.accounts.sessions.end(ids, "revoked")
    return await hears(house, house.store.accounts, *sessions)


async def test_a_device_without_login_is_out_of_its_calls(house: House) -> None:
    laptop = await house.sign_up("alice")
    _, phone = await house.log_in("alice")

    out = await ends(house, phone)

    assert out == Heard([(laptop["user"]["id"], phone["device"]["id"])], [])


async def test_a_device_with_another_login_stays(house: House) -> None:
    first = await house.sign_up("alice")
    _, second = await house.log_in("alice", device_id=first["device"]["id"])

    assert await ends(house, first) == Heard()
    out = await ends(house, second)

    user_id = first["user"]["id"]
    assert out == Heard([(user_id, first["device"]["id"])], [user_id])


async def test_all_logins_that_end_at_once_are_told_of_each_once(house: House) -> None:
    """Two of one device, one of another device, one of somebody else."""
    first = await house.sign_up("alice")
    _, second = await house.log_in("alice", device_id=first["device"]["id"])
    _, phone = await house.log_in("alice")
    other = await house.sign_up("bob")

    out = await ends(house, first, second, phone, other)

    devices = {(each["user"]["id"], each["device"]["id"]) for each in (first, phone, other)}
    assert (len(out.devices), set(out.devices)) == (3, devices)
    assert sorted(out.users) == sorted([first["user"]["id"], other["user"]["id"]])


async def test_the_store_is_asked_once_for_calls_and_relays(house: House) -> None:
    first = await house.sign_up("alice")
    _, second = await house.log_in("alice")
    ids = [SessionId(each["session_id"]) for each in (first, second)]
    await house.accounts.sessions.end(ids, "revoked")
    asked = Asked(house.store.accounts)

    out = await hears(house, asked, first, second)

    assert (asked.session_ids, asked.user_ids) == (ids, [first["user"]["id"]])
    assert (len(out.devices), len(out.users)) == (2, 1)


async def test_while_the_store_is_away_the_grace_decides(house: House) -> None:
    laptop = await house.sign_up("alice")

    house.store.outage = True
    out = await hears(house, house.store.accounts, laptop)

    assert out == Heard()
