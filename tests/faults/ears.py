"""A person on one line to one hub, who hears and never asks again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
from hubbub.ids import ClientIds
from hubbub.line import Line

from tests.faults.history.stage import Person

ACK_S = 15.0
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Ear:
    """`heard`: (seq, text, time) of a room's messages, as they came. `statuses`: who was last told
    to be how."""

    def __init__(self, person: Person, line: Line) -> None:
        self.person = person
        self.heard: list[tuple[int, str, float]] = []
        self.statuses: dict[str, str] = {}
        self._line = line
        self._ids = ClientIds()
        self._running = asyncio.create_task(line.run(self._hear), name="ear")

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, hub: str, person: Person) -> Ear:
        return cls(person, await Line.open(http, hub, person.token))

    async def close(self) -> None:
        await self._line.close()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def say(self, room: str, text: str) -> int:
        """Returns the seq. Raises HubbubError."""
        content = {"type": "text", "body": text}
        payload = {"room_id": room, "client_id": self._ids.new(), "content": content}
        answer = await self._line.request("message:send", payload, dict[str, Any], ACK_S)
        return int(answer["seq"])

    async def watch(self, *people: Person) -> None:
        payload = {"user_ids": [person.id for person in people]}
        answer = await self._line.request("presence:watch", payload, dict[str, Any], ACK_S)
        self.statuses |= {id: now["status"] for id, now in answer["presence"].items()}

    def texts(self) -> list[str]:
        return [text for _, text, _ in self.heard]

    def seqs(self) -> list[int]:
        return [seq for seq, _, _ in self.heard]

    def _hear(self, name: str, payload: bytes) -> None:
        if name == "room:event":
            event = _decode(payload)
            if event["type"] == "message":
                self.heard.append((event["seq"], event["content"]["body"], time.monotonic()))
        elif name == "presence:changed":
            told = _decode(payload)
            self.statuses[told["user_id"]] = told["status"]
