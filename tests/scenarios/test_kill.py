"""kill -9 in the middle of sends, at random moments: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path

import pytest
from hubbub import Client, Event, RoomEvent, Sent

from tests.support.process import Running, start_server
from tests.support.waiting import until

CLIENTS, MESSAGES = 8, 60
FREE = {
    "HUBBUB_LIMITS__SIGNUP_PER_H": "0", "HUBBUB_LIMITS__SEND_PER_S": "0",
    "HUBBUB_LIMITS__CONNECT_PER_S": "0", "HUBBUB_LIMITS__HTTP_PER_S": "0",
    "HUBBUB_LIMITS__LOGIN_FAIL_PER_MIN": "0",
}  # fmt: skip


class Speaker:
    """A client that says numbered sentences, and everything it hears."""

    def __init__(self, url: str, name: str, state: Path) -> None:
        self.name = name
        self.client = Client(url, state=state)
        self.acked: dict[str, Sent] = {}
        self.heard: list[Event] = []
        self.client.on(self._hear)

    def _hear(self, item: object) -> None:
        if isinstance(item, RoomEvent):
            self.heard.append(item.event)

    async def say_all(self, room_id: str, rng: random.Random) -> None:
        room = self.client.room(room_id)
        pause_s = [rng.uniform(0, 0.02) for _ in range(MESSAGES)]
        for number in range(MESSAGES):
            body = f"{self.name} {number}"
            self.acked[body] = await room.send(body)
            await asyncio.sleep(pause_s[number])


async def _gather(url: str, folder: Path) -> tuple[list[Speaker], str]:
    speakers = [Speaker(url, f"user{n}", folder / f"state{n}") for n in range(CLIENTS)]
    for speaker in speakers:
        await speaker.client.sign_up(speaker.name, "correct horse battery")
        await speaker.client.connect()
    others = [speaker.client.me.id for speaker in speakers[1:]]
    room = await speakers[0].client.create_room(name="garden", member_ids=others)
    await until(lambda: all(room.id in speaker.client.rooms for speaker in speakers))
    return speakers, room.id


async def _killed_and_started_again(
    server: Running, folder: Path, rng: random.Random, times: int, talk: list[asyncio.Task[None]]
) -> Running:
    for _ in range(times):
        await asyncio.sleep(rng.uniform(0.05, 0.3))
        assert not all(task.done() for task in talk)
        server.kill()
        server = await asyncio.to_thread(start_server, folder, port=server.port, env=FREE)
    return server


async def _same_head(speakers: list[Speaker], room_id: str) -> list[Event]:
    log = await speakers[0].client.room(room_id).whole_log()
    head = log[-1].seq
    await until(lambda: all(s.heard and s.heard[-1].seq >= head for s in speakers), 30)
    return log


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
async def test_a_killed_server_keeps_each_acknowledged_message_once(seed: int, tmp_path: Path):
    rng = random.Random(seed)
    folder = tmp_path / "data"
    server = start_server(folder, env=FREE)
    speakers: list[Speaker] = []
    try:
        speakers, room_id = await _gather(server.base_url, tmp_path)
        talk = [asyncio.create_task(s.say_all(room_id, rng)) for s in speakers]

        server = await _killed_and_started_again(server, folder, rng, times=2, talk=talk)
        await asyncio.wait_for(asyncio.gather(*talk), 60)
        log = await _same_head(speakers, room_id)

        _check(log, speakers)
    finally:
        for speaker in speakers:
            with contextlib.suppress(Exception):
                await speaker.client.close()
        server.stop()


def _check(log: list[Event], speakers: list[Speaker]) -> None:
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    bodies = Counter(event.body for event in log if event.type == "message")
    assert bodies == Counter(
        {f"{s.name} {number}": 1 for s in speakers for number in range(MESSAGES)}
    )
    place = {event.body: (event.seq, event.id) for event in log if event.type == "message"}
    for speaker in speakers:
        assert {body: (sent.seq, sent.id) for body, sent in speaker.acked.items()} == {
            body: place[body] for body in speaker.acked
        }
        heard = [event.seq for event in speaker.heard]
        assert heard == list(range(heard[0], log[-1].seq + 1))
        assert [e.id for e in speaker.heard] == [e.id for e in log[heard[0] - 1 :]]
