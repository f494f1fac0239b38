"""The echo bot in calls at a real server: people hear and see themselves, and it does not stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("aiortc")

from hubbub.calls.media import MediaCall

from server.cli import echo
from server.cli.echo import EchoBot
from server.kernel.tasks import TaskOwner
from tests.support.process import Running, start_server
from tests.support.sdk_callers import People, Person, people
from tests.support.two_peers import Camera, left_over
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("echo") / "data"
    with start_server(folder, "--limits", "off") as running:
        yield running


_number = iter(range(1000))


class House:
    """The bot, and people who call it."""

    def __init__(self, bot: EchoBot, bot_id: str, opened: People) -> None:
        self.bot, self.bot_id = bot, bot_id
        self._people = opened

    async def caller(self) -> tuple[Person, str]:
        """And the room with the bot."""
        person = await self._people.join(f"alice{next(_number)}")
        return person, (await self._people.direct(person, self.bot_id)).id


@pytest.fixture
async def house(server: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(echo, "RING_S", 0.3)
    monkeypatch.setattr(echo, "LOOK_S", 0.1)
    tasks = TaskOwner("test")
    async with people(server.base_url) as opened:
        robot = await opened.join(f"echo{next(_number)}")
        assert robot.client.session is not None
        bot = EchoBot(server.base_url, robot.client.session, tasks)
        await robot.client.disconnect()
        await bot.start()
        yield House(bot, robot.id, opened)
        await tasks.close()
        await bot.stop()
    assert bot.calls.count == 0


@asynccontextmanager
async def in_call(person: Person, room_id: str) -> AsyncIterator[tuple[MediaCall, Camera]]:
    camera = Camera()
    call = await person.client.calls.start(room_id, "video")
    talk = MediaCall(call, lambda: camera, accepted=False)
    task = asyncio.create_task(talk.run())
    try:
        yield talk, camera
    finally:
        await call.leave()
        await task


async def test_what_is_said_and_shown_in_a_call_comes_back(house: House) -> None:
    alice, room_id = await house.caller()

    async with in_call(alice, room_id) as (_, camera):
        await until(lambda: camera.frames["mic"] > 20 and camera.frames["camera"] > 10)

    await until(lambda: house.bot.calls.count == 0)
    assert await alice.hears_end() == "hung_up"


async def test_three_who_call_at_once_are_all_answered_and_the_fourth_is_declined(
    house: House,
) -> None:
    callers = [await house.caller() for _ in range(4)]
    calls = [await person.client.calls.start(room_id, "audio") for person, room_id in callers]

    await until(lambda: sum(call.info.state == "active" for call in calls) == 3)
    await until(lambda: sum(call.over for call in calls) == 1)

    assert [call.reason for call in calls if call.over] == ["declined"]
    assert house.bot.calls.count == 3


async def test_it_says_that_it_is_muted_when_the_other_is(house: House) -> None:
    alice, room_id = await house.caller()

    async with in_call(alice, room_id) as (talk, _camera):
        call = alice.client.calls.joined[next(iter(alice.client.calls.joined))]
        await until(lambda: talk.connected)
        await call.mute("mic")
        await call.mute("screen", False)

        def told() -> dict[str, bool]:
            return {track.source: track.muted for each in call.others for track in each.tracks}

        await until(lambda: told() == {"mic": True, "camera": False, "screen": False})


async def test_who_sends_nonsense_and_no_media_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "UNCONNECTED_S", 0.5)
    alice, room_id = await house.caller()
    call = await alice.client.calls.start(room_id, "video")
    await until(lambda: call.others)

    for signal in ({}, {"type": "offer", "sdp": "v=0\r\n"}, {"candidate": {"candidate": "x"}}):
        await call.signal(call.others[0].device_id, signal)

    assert await alice.hears_end() == "hung_up"
    await until(lambda: house.bot.calls.count == 0)


async def test_a_caller_whose_line_breaks_goes_on_hearing_himself(house: House) -> None:
    alice, room_id = await house.caller()

    async with in_call(alice, room_id) as (talk, camera):
        await until(lambda: camera.frames["camera"] > 3)
        await alice.client.disconnect()
        await alice.client.connect()
        seen = camera.frames["camera"]

        await until(lambda: camera.frames["camera"] > seen + 10)
        assert talk.connected


async def test_in_a_group_people_come_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "GROUP_RING_S", 1.0)
    alice, _ = await house.caller()
    bob, _ = await house.caller()
    room = await alice.client.create_room(name="Lobby", member_ids=[bob.id, house.bot_id])

    first = await room.call()
    await bob.client.calls.accept((await bob.rings()).call.id)
    await until(lambda: house.bot.calls.count == 0)
    who = {each.user_id for each in first.others}
    await first.end()
    second = await room.call()
    await until(lambda: second.others)

    assert who == {bob.id}
    assert [each.user_id for each in second.others] == [house.bot_id]


async def test_without_aiortc_it_declines(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo.media, "installed", lambda: False)
    alice, room_id = await house.caller()

    await alice.client.calls.start(room_id)

    assert await alice.hears_end() == "declined"


async def test_callers_who_hang_up_at_once_leave_no_task_and_no_socket(house: House) -> None:
    alice, room_id = await house.caller()
    await _hangs_up_at_once(alice, room_id, house)
    before = left_over()

    for _ in range(5):
        await _hangs_up_at_once(alice, room_id, house)

    await until(lambda: all(now <= then for now, then in zip(left_over(), before, strict=True)))


async def _hangs_up_at_once(alice: Person, room_id: str, house: House) -> None:
    call = await alice.client.calls.start(room_id, "video")
    await until(lambda: call.others)
    await call.leave()
    await until(lambda: house.bot.calls.count == 0)
