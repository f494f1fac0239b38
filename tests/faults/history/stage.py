"""A run's people and rooms, its load processes, and the reading of the logs at the end."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.faults.history.client import Client
from tests.faults.history.habits import Habits, Persona
from tests.faults.history.load import Plan
from tests.faults.history.record import Final, Writer, row_of
from tests.support.process import ROOT

PASSWORD = "correct horse battery staple"
PAGE = 500
CALL_S = 10.0
TRY_S = 60.0
FILL_S = 300.0
FILL_WINDOW = 200


class _Session(msgspec.Struct):
    user: dict[str, Any]
    access_token: str


class _FinalPage(msgspec.Struct):
    head: int
    events: list[msgspec.Raw]
    more: bool


_read_session = msgspec.json.Decoder(_Session).decode
_read_final = msgspec.json.Decoder(_FinalPage).decode


@dataclass(frozen=True)
class Person:
    name: str
    id: str
    token: str


class Stage:
    """`people` share the first room, the hot one; each other room has three of them."""

    def __init__(self, hubs: Sequence[str], http: aiohttp.ClientSession, seed: int) -> None:
        self.hubs = list(hubs)
        self.http = http
        self.seed = seed
        self.people: list[Person] = []
        self.rooms: dict[str, tuple[str, list[Person]]] = {}

    async def populate(self, people: int, rooms: int) -> None:
        mark = f"{time.time_ns() // 1000 % 10**9:09d}"
        for number in range(people):
            self.people.append(await self._sign_up(f"p{number}.{mark}"))
        chance = random.Random(self.seed)
        await self._make_room("hot", self.people)
        for number in range(1, rooms):
            members = chance.sample(self.people, min(3, people))
            await self._make_room(f"room {number}", members)

    def plans(self, processes: int, habits: Habits, *, devices: int = 1) -> list[Plan]:
        """The people dealt out to `processes` load processes, each with so many connections."""
        plans = [Plan(self.seed, self.hubs, [], habits) for _ in range(processes)]
        for number, person in enumerate(self.people):
            rooms = {
                room: log for room, (log, members) in self.rooms.items() if person in members
            }  # the hot one first
            plans[number % processes].personas += [
                Persona(f"{person.name}/{device}", person.id, person.token, rooms)
                for device in range(devices)
            ]
        return plans

    async def fill(self, count: int, writer: Writer) -> None:
        """So many messages in the hot room, before anything breaks."""
        person, room = self.people[0], next(iter(self.rooms))
        persona = Persona(f"{person.name}/before", person.id, person.token,
                          {room: self.rooms[room][0]})  # fmt: skip
        habits = Habits(window=FILL_WINDOW, drop_every_s=FILL_S, holds=0, abandons=0)
        client = Client(persona, habits, self.hubs, writer, self.http, random.Random(self.seed))
        living = asyncio.create_task(client.live(), name="history.fill")
        try:
            async with asyncio.timeout(FILL_S):
                await client.fill(room, count)
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)

    async def read_logs(self, writer: Writer) -> None:
        """By a fresh login of one member of each room."""
        for room, (_, members) in self.rooms.items():
            session = await self._session("/api/v1/sessions", members[-1].name)
            after, more = 0, True
            while more:
                path = f"/api/v1/rooms/{room}/events?after={after}&limit={PAGE}"
                page = _read_final(await self._call("GET", path, token=session.access_token))
                rows = tuple(row_of(event)[1] for event in page.events)
                writer.write(Final(time.monotonic_ns(), "api", room, page.head, rows))
                after = rows[-1].seq if rows else after
                more = page.more

    async def _sign_up(self, name: str) -> Person:
        session = await self._session("/api/v1/accounts", name)
        return Person(name, session.user["id"], session.access_token)

    async def _session(self, path: str, name: str) -> _Session:
        body = {"username": name, "password": PASSWORD}
        return _read_session(await self._call("POST", path, body))

    async def _make_room(self, name: str, members: list[Person]) -> None:
        first, *others = members
        body = {"kind": "group", "name": name, "member_ids": [person.id for person in others]}
        answer = await self._call("POST", "/api/v1/rooms", body, token=first.token)
        room = msgspec.json.decode(answer)
        self.rooms[room["id"]] = (room["log_id"], members)

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, token: str = ""
    ) -> bytes:
        """Tried at one hub after the other. RuntimeError: nobody answered in time."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        give_up, text, number = time.monotonic() + TRY_S, "", 0
        while time.monotonic() < give_up:
            hub = self.hubs[number % len(self.hubs)]
            number += 1
            try:
                async with self.http.request(
                    method, hub + path, json=body, headers=headers,
                    timeout=aiohttp.ClientTimeout(total=CALL_S),
                ) as answer:  # fmt: skip
                    text = await answer.text()
                    if answer.status < 300:
                        return await answer.read()
                    if answer.status < 500 and answer.status != 429:
                        break
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                text = type(error).__name__
            await asyncio.sleep(0.5)
        raise RuntimeError(f"{method} {path}: {text[:300]}")


class Loads:
    """The load processes of a run, and their histories. Ended with their block."""

    def __init__(
        self, folder: Path, plans: Sequence[Plan], program: str = "tests.faults.history.load"
    ) -> None:
        self.folder = folder
        self._program = program
        self.plans = plans
        self.histories: list[Path] = []
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Loads:
        for number, plan in enumerate(self.plans):
            await self._start(number, plan)
        return self

    async def __aexit__(self, *error: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def quiet(self) -> int:
        """No new commands. Returns how many stayed open."""
        return await self._tell("quiet", "unfinished")

    async def settle(self, within_s: float) -> int:
        """Everybody gets all, without another word. Returns how many logs somebody misses."""
        missing = await self._tell(f"settle {within_s}", "missing")
        for process in self._processes:
            await process.wait()
        return missing

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    async def _start(self, number: int, plan: Plan) -> None:
        plan_path = self.folder / f"plan{number}.json"
        history = self.folder / f"history{number}.jsonl"
        plan_path.write_bytes(msgspec.json.encode(plan))
        self.histories.append(history)
        path = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")])
        with (self.folder / f"load{number}.log").open("wb") as log:
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", self._program, str(plan_path), str(history),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                    cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
                )
            )  # fmt: skip

    async def _tell(self, line: str, field: str) -> int:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line.encode() + b"\n")
        answers = [await self._answer(process) for process in self._processes]
        return sum(answer[field] for answer in answers)

    async def _answer(self, process: asyncio.subprocess.Process) -> dict[str, int]:
        assert process.stdout is not None
        async with asyncio.timeout(150):
            line = await process.stdout.readline()
        if not line:
            logs = [path.read_text()[-2000:] for path in self.folder.glob("load*.log")]
            raise RuntimeError(f"a load process ended: {logs}")
        return msgspec.json.decode(line, type=dict[str, int])
