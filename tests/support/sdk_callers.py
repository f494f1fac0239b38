"""People with the Python SDK at a real server: logged in, connected, in rooms with each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from hubbub import CallChanged, CallRinging, CallSignal, Client, Room
from hubbub.models import Item

from tests.support.waiting import until


class Person:
    """`heard`: every item, in order."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[Item] = []
        client.on(self.heard.append)

    @property
    def id(self) -> str:
        return self.client.me.id

    @property
    def device_id(self) -> str:
        assert self.client.session is not None
        return self.client.session.device.id

    async def rings(self) -> CallRinging:
        await until(lambda: self.client.calls.ringing)
        return next(iter(self.client.calls.ringing.values()))

    async def hears_end(self) -> str | None:
        """The reason of the last call that ended."""
        await until(lambda: self._ends())
        return self._ends()[-1].call.reason

    async def gets_signal(self) -> CallSignal:
        def signals() -> list[CallSignal]:
            return [each for each in self.heard if isinstance(each, CallSignal)]

        await until(signals)
        return signals()[-1]

    def _ends(self) -> list[CallChanged]:
        changes = [each for each in self.heard if isinstance(each, CallChanged)]
        return [each for each in changes if each.call.state == "ended"]


class People:
    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack

    async def join(self, name: str) -> Person:
        client = await self._stack.enter_async_context(Client(self._url))
        await client.sign_up(name, f"a long one for {name}")
        person = Person(client)
        await client.connect()
        return person

    async def direct(self, one: Person, other_id: str) -> Room:
        """Known to both."""
        return await one.client.direct(other_id)


@asynccontextmanager
async def people(url: str) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:
        yield People(url, stack)
