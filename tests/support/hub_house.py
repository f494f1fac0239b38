"""The real Hub on a port with a small service behind it, and clients that speak raw packets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.hub.hub import Hub
from server.kernel.clock import Clock
from server.kernel.config import Config, Limits
from server.kernel.config import Hub as HubRules
from server.kernel.errors import Conflict, Unauthorized
from server.kernel.events import Context, EventTable
from server.kernel.ids import DeviceId, RoomId, SessionId, UserId
from server.kernel.json import encode
from server.kernel.outlet import RoomEvent
from tests.support.protocol_modes import serve_engine

WAIT_S = 5.0
GARDEN = RoomId("garden")


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="text"):
    body: str


class Say(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    room_id: str
    content: Content
    number: int = 0


class Free(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Any = None


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    body: str
    client_id: str | None = None


events = EventTable()


@events.on("say", Say, rate="send")
async def say(ctx: Context, cmd: Say, house: House) -> dict[str, object]:
    return await house.say(ctx, cmd)


@events.on("fail", Free)
async def fail(ctx: Context, cmd: Free, house: House) -> dict[str, object]:
    raise ZeroDivisionError("a secret detail")


@events.on("refuse", Free)
async def refuse(ctx: Context, cmd: Free, house: House) -> dict[str, object]:
    raise Conflict("It is taken.", field="value", data={"now": 1})


@events.on("wait", Free)
async def wait(ctx: Context, cmd: Free, house: House) -> dict[str, object]:
    async with asyncio.timeout(WAIT_S):
        await house.gate.wait()
    return {}


@events.on("free", Free)
async def free(ctx: Context, cmd: Free, house: House) -> dict[str, object]:
    return {"value": cmd.value}


class House:
    """Behind the hub: rooms by user, a `say` that is stored a turn later and then announced."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.rooms: dict[str, Collection[RoomId]] = {}
        self.gate = asyncio.Event()
        self.loading: asyncio.Event | None = None
        self.loads = 0
        self.told: list[tuple[str, str]] = []
        self.hub = Hub(config, authenticate=self.authenticate, observers=[self], clock=clock)
        self.hub.mount(events.bind(self))
        self.port = 0

    def authenticate(self, token: str) -> Context:
        user, _, session = token.partition(":")
        if user == "bad":
            raise Unauthorized("This token is not valid.")
        name = session or user
        return Context(UserId(user), DeviceId(f"{name}-device"), SessionId(name))

    async def rooms_of(self, ctx: Context) -> Collection[RoomId]:
        self.loads += 1
        if self.loading is not None:
            await self.loading.wait()
        return self.rooms.get(ctx.user_id, [GARDEN])

    def opened(self, ctx: Context) -> None:
        self.told.append(("opened", ctx.user_id))

    def active(self, ctx: Context) -> None:
        self.told.append(("active", ctx.user_id))

    def closed(self, ctx: Context) -> None:
        self.told.append(("closed", ctx.user_id))

    async def say(self, ctx: Context, cmd: Say) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[int] = loop.create_future()

        def store() -> None:
            stored.set_result(1)
            loop.call_soon(announce)

        def announce() -> None:
            body = cmd.content.body
            event = RoomEvent(ctx.user_id, encode(Told(body, "mine")), encode(Told(body)))
            self.hub.outlet.room_event(RoomId(cmd.room_id), event)

        loop.call_soon(store)
        return {"seq": await stored}

    async def joins(self, token: str, **options: Any) -> Member:
        member = await self.knocks(**options)
        await member.send("40" + json.dumps({"token": token}))
        assert (await member.hear()).startswith('40{"sid":"')
        return member

    async def knocks(self, **options: Any) -> Member:
        url = f"ws://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=websocket"
        socket = await connect(url, compression=None, max_size=None, **options)
        member = Member(socket)
        assert (await member.hear())[0] == "0"
        return member


class Member:
    """A client of raw packets."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.close_code: int | None = None

    async def send(self, packet: str | bytes) -> None:
        await self.socket.send(packet)

    async def emit(self, name: str, payload: Any = None, ack: str = "1") -> dict[str, Any]:
        """Sends an event and returns its acknowledgement, which comes next."""
        arguments = [name] if payload is None else [name, payload]
        await self.send(f"42{ack}{json.dumps(arguments)}")
        return await self.ack(ack)

    async def ack(self, ack: str = "1") -> dict[str, Any]:
        text = await self.hear()
        assert text.startswith(f"43{ack}["), text
        answer: dict[str, Any] = json.loads(text[2 + len(ack) :])[0]
        return answer

    async def says(self, body: str, ack: str = "1") -> None:
        payload = {"room_id": GARDEN, "content": {"type": "text", "body": body}}
        await self.send(f"42{ack}{json.dumps(['say', payload])}")

    async def hear(self) -> Any:
        """The next message that is no ping."""
        while True:
            async with asyncio.timeout(WAIT_S):
                text = await self.socket.recv()
            if text != "2":
                return text
            await self.socket.send("3")

    async def event(self) -> list[Any]:
        text = await self.hear()
        assert text.startswith("42["), text
        heard: list[Any] = json.loads(text[2:])
        return heard

    async def rest(self) -> list[Any]:
        """Everything until the server closes."""
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd is not None else None
        return heard

    async def leaves(self) -> None:
        await self.socket.close()


def small_config(hub: HubRules | None = None, **limits: Any) -> Config:
    return Config(limits=Limits(**{"connect_per_s": 0, **limits}), hub=hub or HubRules())


@asynccontextmanager
async def hub_house(
    config: Config | None = None, *, clock: Clock | None = None
) -> AsyncIterator[House]:
    house = House(config or small_config(), clock)
    house.port, stop = await serve_engine(house.hub.engine, "127.0.0.1", 0)
    await house.hub.start()
    try:
        yield house
    finally:
        house.gate.set()
        await house.hub.close()
        await stop()
