"""With a user's last login his relays end, also at a media process that starts later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from media.connections import RevokeUser
from server.compose.logouts import Logouts
from server.compose.revoking import Revoking
from server.kernel.ids import SessionId, UserId
from server.kernel.tasks import TaskOwner
from signaling.tickets import TICKET_S
from tests.support.accounts_house import House, open_house
from tests.support.waiting import until


class Media:
    def __init__(self) -> None:
        self.on_ready: list[Callable[[], None]] = []
        self.told: list[RevokeUser] = []

    def command(self, command: RevokeUser) -> None:
        self.told.append(command)

    def starts_again(self) -> None:
        self.told.clear()
        for callback in self.on_ready:
            callback()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = await open_house()
    yield opened
    await opened.close()


@pytest.fixture
async def media(house: House) -> AsyncIterator[Media]:
    media, tasks = Media(), TaskOwner("revoking")
    accounts, clock = house.store.accounts, house.clock
    revoking = Revoking(media, accounts, clock=clock, tasks=tasks, again_s=0.01)
    logouts = Logouts(accounts, calls=None, relays=revoking, clock=clock, tasks=tasks)
    tell = house.accounts.sessions.on_ended

    def ended(session_ids: list[SessionId]) -> None:
        tell(session_ids)
        logouts.sessions_ended(session_ids)

    house.accounts.sessions.on_ended = ended  # type: ignore[assignment]
    yield media
    await tasks.close()


async def log_out(house: House, token: str) -> None:
    status, _ = await house.call("DELETE", "/sessions/current", token=token)
    assert status == 204


async def test_the_last_login_takes_the_relays_with_it(house: House, media: Media) -> None:
    first = await house.sign_up("alice")
    _, second = await house.log_in("alice")

    await log_out(house, first["access_token"])
    await log_out(house, second["access_token"])
    await until(lambda: media.told)

    tickets_until = house.clock.now_ms() // 1000 + TICKET_S
    assert media.told == [RevokeUser(UserId(first["user"]["id"]), tickets_until)]


async def test_a_media_process_that_starts_is_told_for_as_long_as_tickets_live(
    house: House, media: Media
) -> None:
    gone = await house.sign_up("alice")
    await house.sign_up("bob")
    await log_out(house, gone["access_token"])
    await until(lambda: media.told)
    told = list(media.told)

    house.clock.advance(TICKET_S)
    media.starts_again()
    await until(lambda: media.told)
    again = list(media.told)
    house.clock.advance(1)
    media.starts_again()
    await asyncio.sleep(0.05)

    assert (again, media.told) == (told, [])


async def test_a_store_that_is_away_is_asked_again(house: House, media: Media) -> None:
    gone = await house.sign_up("alice")
    await log_out(house, gone["access_token"])
    await until(lambda: media.told)
    house.store.outage = True

    media.starts_again()
    await asyncio.sleep(0.05)
    untold = list(media.told)
    house.store.outage = False
    await until(lambda: media.told)

    assert (untold, [each.user_id for each in media.told]) == ([], [gone["user"]["id"]])
