"""A real server in this process, its media process, and people at another library's sockets."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import socketio

from server.compose.server import Server, running_server
from server.kernel.config import Config
from server.kernel.config import Server as Settings
from tests.support.waiting import until

ANSWER_S = 5.0


@dataclass
class Person:
    """One device of somebody."""

    house: House
    session: dict[str, Any]
    heard: asyncio.Queue[tuple[str, Any]] = field(default_factory=asyncio.Queue)
    socket: socketio.AsyncClient = field(
        default_factory=lambda: socketio.AsyncClient(reconnection=False)
    )

    @property
    def user_id(self) -> str:
        return str(self.session["user"]["id"])

    @property
    def device_id(self) -> str:
        return str(self.session["device"]["id"])

    async def connects(self) -> None:
        self.socket.on("*", lambda name, data: self.heard.put_nowait((name, data)))
        await self.socket.connect(
            self.house.server.url, auth={"token": self.session["access_token"]},
            transports=["websocket"], wait_timeout=ANSWER_S,
        )  # fmt: skip

    async def answer(self, name: str, **payload: Any) -> Any:
        return await self.socket.call(name, payload, timeout=ANSWER_S)

    async def gets(self, name: str, **payload: Any) -> Any:
        answer = await self.answer(name, **payload)
        assert answer["ok"], answer
        return answer["data"]

    async def code(self, name: str, **payload: Any) -> str:
        """Why it is refused."""
        answer = await self.answer(name, **payload)
        assert not answer["ok"], answer
        return str(answer["error"]["code"])

    async def hears(self, wanted: str, **fields: Any) -> Any:
        """The next such event; those before it are passed over."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                name, data = await self.heard.get()
                inner = data.get("call", data)
                if name == wanted and all(inner.get(k) == v for k, v in fields.items()):
                    return data

    async def http(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.session['access_token']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.request(method, self.house.server.url + path, json=body) as answer,
        ):
            return await answer.json() if answer.status != 204 else None


@dataclass
class House:
    server: Server
    people: list[Person] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def person(self, name: str) -> Person:
        username = f"{name}{next(self._numbers)}"
        body = {"username": username, "password": f"a long one for {username}"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.server.url}/api/v1/accounts", json=body) as answer,
        ):
            person = Person(self, await answer.json())
        self.people.append(person)
        await person.connects()
        return person

    async def another_device(self, person: Person) -> Person:
        username = person.session["user"]["username"]
        body = {"username": username, "password": f"a long one for {username}"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.server.url}/api/v1/sessions", json=body) as answer,
        ):
            other = Person(self, await answer.json())
        self.people.append(other)
        await other.connects()
        return other

    async def room(self, kind: str, owner: Person, *others: Person) -> str:
        members = [other.user_id for other in others]
        named = {"name": "a room"} if kind == "group" else {}
        body = {"kind": kind, "member_ids": members, **named}
        return str((await owner.http("POST", "/api/v1/rooms", body))["id"])

    async def call(self, caller: Person, callee: Person, room_id: str) -> str:
        """A call that runs."""
        started = await caller.gets("call:start", room_id=room_id, media="audio")
        call_id = str(started["call"]["id"])
        await callee.gets("call:accept", call_id=call_id)
        await caller.hears("call:state", state="active")
        return call_id

    async def close(self) -> None:
        for person in self.people:
            await person.socket.disconnect()


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    settings = Settings(host="127.0.0.1", port=0, data=str(folder), directory=True)
    async with running_server(Config(server=settings)) as server:
        media = server.calling.media
        assert media is not None
        await until(lambda: media.ready, 60.0)
        made = House(server)
        try:
            yield made
        finally:
            await made.close()
