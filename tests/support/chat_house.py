"""Chat on a store in memory, a fake outlet and a virtual clock: people who talk to it by the wire's
names and shapes.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from server.chat.wiring import Chat, events, routes
from server.kernel.clock import Virtual
from server.kernel.config import Config
from server.kernel.errors import AppError
from server.kernel.events import BoundEvent, BoundRoute, Context, Reply, Request
from server.kernel.ids import DeviceId, SessionId, SocketId, UserId, uuid7
from server.kernel.shapes import fit
from server.kernel.tasks import TaskOwner
from server.presence.wiring import PresencePart
from storage.api import UserRow
from storage.memory.store import MemoryStore, open_memory
from tests.support.outlet import FakeOutlet, FakeSocket


class SeededIds:
    """UUIDv7s from a seed, ascending within a millisecond as a counter does it."""

    def __init__(self, seed: int = 1) -> None:
        self._count = itertools.count(1)
        self._noise = random.Random(seed)

    def new(self, at_ms: int) -> str:
        head = next(self._count) << 48
        return uuid7(at_ms, lambda size: (head | self._noise.getrandbits(48)).to_bytes(size, "big"))


class Person:
    """One user with one socket (more by `also`)."""

    def __init__(self, house: House, user_id: str) -> None:
        self.house = house
        self.id = UserId(user_id)
        self.ctx = house.context(user_id)
        self.socket = FakeSocket(self.ctx)

    async def connects(self) -> None:
        rooms = await self.house.chat.rooms_of(self.ctx)
        self.socket = self.house.outlet.open(self.ctx, rooms)
        self.house.presence.opened(self.ctx)
        await self.house.settle()

    async def drops(self) -> None:
        self.house.outlet.close(self.ctx.socket_id)
        self.house.presence.closed(self.ctx)
        await self.house.settle()

    async def asks(self, name: str, /, **payload: Any) -> Any:
        """The acknowledgement's data. Raises AppError."""
        return await self.house.event(self.ctx, name, payload)

    async def says(self, room_id: str, body: str = "hello", **more: Any) -> Any:
        payload = {"room_id": room_id, "client_id": self.house.client_id(), **more}
        return await self.asks(
            "message:send", **{"content": {"type": "text", "body": body}, **payload}
        )

    async def calls(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """The answer of an HTTP call. Raises AppError."""
        return (await self.house.call(self.ctx, method, path, body, query))[1]

    async def refused(self, name: str, /, **payload: Any) -> AppError:
        try:
            answer = await self.asks(name, **payload)
        except AppError as error:
            return error
        raise AssertionError(f"{name} was not refused: {answer}")

    async def denied(self, method: str, path: str, body: Any = None, /, **query: Any) -> AppError:
        try:
            answer = await self.calls(method, path, body, **query)
        except AppError as error:
            return error
        raise AssertionError(f"{method} {path} was not refused: {answer}")

    def hears(self, room_id: str) -> list[Any]:
        return self.socket.events(room_id)


class House:
    """Everything around chat, in memory."""

    def __init__(
        self,
        config: Config | None = None,
        store: MemoryStore | None = None,
        clock: Virtual | None = None,
    ) -> None:
        self.config = config or Config()
        self.store = store or open_memory()
        self.clock = clock or Virtual()
        self.ids = SeededIds()
        self.outlet = FakeOutlet()
        self.tasks = TaskOwner("test")
        self.sockets = itertools.count(1)
        self.client_ids = SeededIds(2)
        self._make()

    def _make(self) -> None:
        self.chat = self.make_chat()
        self.presence = PresencePart(
            self.store, self.outlet, clock=self.clock, config=self.config, tasks=self.tasks
        )
        self._events: dict[str, BoundEvent] = {
            event.name: event for event in (*events.bind(self.chat), *self.presence.events)
        }
        self._routes: list[BoundRoute] = list(routes.bind(self.chat))

    def make_chat(self) -> Chat:
        return Chat(
            self.store, self.outlet, clock=self.clock, ids=self.ids,
            config=self.config, tasks=self.tasks,
        )  # fmt: skip

    async def crashes(self) -> None:
        """The process dies (nothing is flushed) and starts again on the same store."""
        await self.tasks.close()
        self.tasks = TaskOwner("test")
        self.outlet = FakeOutlet()
        self._make()

    async def joins(self, *names: str) -> list[Person]:
        """Users who are connected."""
        people = []
        for name in names:
            row = UserRow(UserId(name), name, name.title(), "x", self.clock.now_ms())
            await self.store.accounts.add_user(row)
            people.append(Person(self, name))
            await people[-1].connects()
        return people

    async def also(self, person: Person) -> Person:
        """Another device of the same user."""
        other = Person(self, person.id)
        await other.connects()
        return other

    def context(self, user_id: str) -> Context:
        number = next(self.sockets)
        return Context(
            UserId(user_id),
            DeviceId(f"device-{number}"),
            SessionId(f"session-{number}"),
            SocketId(f"socket-{number}"),
        )

    def client_id(self) -> str:
        return self.client_ids.new(self.clock.now_ms())

    async def event(self, ctx: Context, name: str, payload: Any) -> Any:
        bound = self._events[name]
        answer = await bound.handler(ctx, fit(payload, bound.shape))
        return msgspec.json.decode(msgspec.json.encode(answer))

    async def call(
        self, ctx: Context, method: str, path: str, body: Any, query: dict[str, Any]
    ) -> tuple[int, Any]:
        for bound in self._routes:
            values = _match(bound.route.path, path)
            if bound.route.method != method or values is None:
                continue
            shape = bound.route.body
            request = Request(
                ctx, values, fit(query, bound.route.query),
                None if shape is None else fit(body, shape), "",
            )  # fmt: skip
            answer, status = await bound.handler(request), bound.route.status
            if isinstance(answer, Reply):
                answer, status = answer.body, answer.status
            await self.settle()
            return status, msgspec.json.decode(msgspec.json.encode(answer))
        raise AssertionError(f"no route {method} {path}")

    async def settle(self) -> None:
        """Let every task that can run do so."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def passes(self, seconds: float) -> None:
        """Virtual time, in the steps in which the services look at the clock."""
        while seconds > 0:
            step = min(0.25, seconds) if seconds <= 30 else seconds - 30
            self.clock.advance(step)
            seconds -= step
            await self.ticks()

    async def ticks(self) -> None:
        """What the services do when they look at the clock."""
        self.chat.tick()
        self.presence.tick()
        await self.chat.upkeep.tick()
        await self.settle()

    async def log_of(self, room_id: str) -> list[Any]:
        rows, _ = await self.store.log.read(room_id, limit=100_000, max_bytes=1 << 40)  # type: ignore[arg-type]
        return msgspec.json.decode(msgspec.json.encode(rows))  # type: ignore[no-any-return]


def _match(pattern: str, path: str) -> dict[str, str] | None:
    names, parts = pattern.split("/"), path.split("/")
    if len(names) != len(parts):
        return None
    values = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{"):
            values[name[1:-1]] = part
        elif name != part:
            return None
    return values


@asynccontextmanager
async def open_house(config: Config | None = None) -> AsyncIterator[House]:
    house = House(config)
    try:
        yield house
    finally:
        await house.chat.close()
        await house.presence.close()
        await house.tasks.close()


ROOMS = "/api/v1/rooms"


async def make_room(owner: Person, *others: Person, **settings: Any) -> str:
    body = {"kind": "group", "member_ids": [person.id for person in others], **settings}
    room = await owner.calls("POST", ROOMS, body)
    return str(room["id"])
