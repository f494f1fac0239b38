"""A real server for each scenario module, and people who come to it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hubbub import Client, Event, Item, RoomEvent

from tests.support.process import Running, start_server
from tests.support.waiting import until

PASSWORD = "correct horse battery"
_numbers = itertools.count()

FREE = {
    f"HUBBUB_LIMITS__{name}": "0"
    for name in ("SIGNUP_PER_H", "SEND_PER_S", "CONNECT_PER_S", "HTTP_PER_S", "EVENT_PER_S")
}


class Person:
    """A client that keeps what it hears."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.items: list[Item] = []
        client.on(self.items.append)

    @property
    def id(self) -> str:
        return self.client.me.id

    @property
    def name(self) -> str:
        return self.client.me.username

    def heard(self, room_id: str) -> list[Event]:
        events = (item.event for item in self.items if isinstance(item, RoomEvent))
        return [event for event in events if event.room_id == room_id]

    def texts(self, room_id: str) -> list[str]:
        return [event.body for event in self.heard(room_id) if event.type == "message"]

    async def is_in(self, room_id: str) -> None:
        await until(lambda: room_id in self.client.rooms)


Come = Callable[[], Awaitable[Person]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("scenario") / "data"
    with start_server(folder, env={**FREE, "HUBBUB_LOGGING__LEVEL": "debug"}) as running:
        yield running


@pytest.fixture
async def come(server: Running) -> AsyncIterator[Come]:
    """`await come()`: somebody new, signed up and connected."""
    async with contextlib.AsyncExitStack() as stack:

        async def somebody() -> Person:
            client = await stack.enter_async_context(Client(server.base_url))
            person = Person(client)
            await client.sign_up(f"person{next(_numbers)}", PASSWORD)
            await client.connect()
            return person

        yield somebody
