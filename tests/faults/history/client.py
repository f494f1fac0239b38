"""One client of a history: it sends, loses answers, retries, resumes and reads, and writes it all
down. Only what the wire contract promises is relied on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from hubbub.errors import HubbubError, Internal, LineBroken, RateLimited, Unavailable
from hubbub.ids import ClientIds
from hubbub.line import Line

from tests.faults.history.habits import Habits, Persona
from tests.faults.history.record import (
    Closed,
    Invoke,
    Live,
    Ok,
    Opened,
    Page,
    Refused,
    Settled,
    Synced,
    Unknown,
    Writer,
    row_of,
)

ACK_S = 8.0
SYNC_S = 10.0
PAGE_S = 5.0
PAGE_ROWS = 30
OPEN_OUTCOMES = (LineBroken, Unavailable, Internal)
"""After these nobody knows whether the command was carried out."""


class _SyncedRoom(msgspec.Struct):
    room: dict[str, Any]
    events: list[msgspec.Raw]
    more: bool
    reset: bool = False


class _Sync(msgspec.Struct):
    rooms: list[_SyncedRoom]
    next: str | None = None


class _Sent(msgspec.Struct):
    seq: int
    id: str
    at: int


class _Page(msgspec.Struct):
    head: int
    events: list[msgspec.Raw]


_read_page = msgspec.json.Decoder(_Page).decode


@dataclass(slots=True)
class Ear:
    """What this connection has told of a room: `have` without a gap, live events from `first`."""

    have: int
    first: int = 0
    last: int = 0

    @property
    def reach(self) -> int:
        return max(self.have, self.last) if 0 < self.first <= self.have + 1 else self.have


@dataclass(slots=True)
class Order:
    """A command: the same `cid` until it is answered."""

    name: str
    room: str
    payload: dict[str, Any]
    answered: bool = False
    tries: int = 0


@dataclass
class Client:
    persona: Persona
    habits: Habits
    hubs: Sequence[str]
    writer: Writer
    http: aiohttp.ClientSession
    chance: random.Random
    ids: ClientIds = field(default_factory=ClientIds)
    conn: int = 0
    op: int = 0

    def __post_init__(self) -> None:
        self.ears = {room: Ear(0) for room in self.persona.rooms}
        self.mine: dict[str, list[int]] = {room: [] for room in self.persona.rooms}
        self._line: Line | None = None
        self._up = asyncio.Event()
        self._done: list[Order] = []
        self._held: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()

    # ---- the connection ----

    async def live(self) -> None:
        """Connected, again and again, until cancelled."""
        while True:
            hub = self.chance.choice(self.hubs)
            with contextlib.suppress(HubbubError, TimeoutError, aiohttp.ClientError, OSError):
                await self._stay(hub)
            await asyncio.sleep(self.chance.uniform(0.1, 1.0) * self.habits.pause_s)

    async def _stay(self, hub: str) -> None:
        async with asyncio.timeout(SYNC_S):
            line = await Line.open(self.http, hub, self.persona.token)
        self.conn += 1
        self._write(Opened(_now(), self.persona.process, self.conn, hub))
        self.ears = {room: Ear(ear.reach) for room, ear in self.ears.items()}
        running = asyncio.create_task(line.run(self._hear), name="history.line")
        why = "ended"
        try:
            await self._sync(line)
            self._line = line
            self._up.set()
            await self._until_dropped(running)
        except HubbubError as error:
            why = error.text
            raise
        finally:
            self._up.clear()
            self._line = None
            await line.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._write(Closed(_now(), self.persona.process, self.conn, why))

    async def _until_dropped(self, running: asyncio.Task[None]) -> None:
        patience = self.chance.expovariate(1 / self.habits.drop_every_s)
        await asyncio.wait([running], timeout=patience)
        if self.quiet:  # what comes last must come without a resume
            await asyncio.wait([running])
        if running.done():
            running.result()

    async def _sync(self, line: Line) -> None:
        asked = set(self.ears)
        after: str | None = None
        while asked:
            named = {
                room: {"log_id": self.persona.rooms[room], "seq": self.ears[room].have}
                for room in asked
            }
            payload = {"rooms": named, "limit": 500} | ({} if after is None else {"after": after})
            began = _now()
            answer = await line.request("sync", payload, _Sync, SYNC_S)
            told = [synced for synced in answer.rooms if synced.room["id"] in asked]
            asked -= {synced.room["id"] for synced in told if self._take(began, synced)}
            after = answer.next
            if after is None and not told:
                raise LineBroken("rooms are missing in the answer")

    def _take(self, began: int, synced: _SyncedRoom) -> bool:
        """True when there is no more of that room."""
        room = synced.room["id"]
        ear = self.ears[room]
        rows = tuple(row_of(event)[1] for event in synced.events)
        self._write(
            Synced(began, _now(), self.persona.process, self.conn, room, ear.have,
                   synced.room["head"], synced.more, synced.reset, rows)
        )  # fmt: skip
        if rows:
            ear.have = rows[-1].seq
        return not synced.more

    def _hear(self, name: str, payload: bytes) -> None:
        if name != "room:event":
            return
        room, row = row_of(payload)
        ear = self.ears.get(room)
        if ear is None:
            return
        self._write(Live(_now(), self.persona.process, self.conn, room, row))
        ear.first = ear.first or row.seq
        if ear.last and row.seq != ear.last + 1:
            raise LineBroken("a gap")  # the checker will tell; resume as a careful client does
        ear.last = row.seq

    # ---- commands ----

    @property
    def quiet(self) -> bool:
        return self._quiet.is_set()

    def be_quiet(self) -> None:
        self._quiet.set()

    async def talk(self) -> None:
        """One of `window` that send one after the other, until all is quiet."""
        while not self.quiet:
            await asyncio.sleep(self.chance.expovariate(self.habits.rate / self.habits.window))
            await self._up.wait()
            if self.quiet:
                return
            order = self._next()
            await self._carry(order)

    async def fill(self, room: str, count: int) -> None:
        """Send that many at once, `window` under way, and wait for all answers."""
        turns = asyncio.Semaphore(self.habits.window)

        async def one() -> None:
            async with turns:
                await self._carry(self._message(room))

        await asyncio.gather(*(one() for _ in range(count)))
        await self.finish()

    async def finish(self) -> None:
        """What was held back is sent now, and answered."""
        while self._held:
            await asyncio.wait(self._held)

    def _next(self) -> Order:
        luck = self.chance.random()
        habits = self.habits
        if self._done and luck < habits.repeats:
            return self.chance.choice(self._done)
        rooms = list(self.persona.rooms)
        room = rooms[0] if self.chance.random() < habits.hot else self.chance.choice(rooms)
        message = self._message(room)
        payload = message.payload
        luck -= habits.repeats
        if self.mine[room] and luck < habits.deletes:
            seq = self.mine[room].pop(self.chance.randrange(len(self.mine[room])))
            del payload["content"]
            return Order("message:delete", room, payload | {"seq": seq})
        if self.mine[room] and luck < habits.deletes + habits.edits:
            return Order(
                "message:edit", room, payload | {"seq": self.chance.choice(self.mine[room])}
            )
        return message

    def _message(self, room: str) -> Order:
        cid = self.ids.new()
        text = {"type": "text", "body": f"{cid} {'x' * self.chance.randrange(200)}"}
        return Order("message:send", room, {"room_id": room, "client_id": cid, "content": text})

    async def _carry(self, order: Order) -> None:
        """Try until it is answered, given up, or put off."""
        while not await self._try(order):
            luck = self.chance.random()
            if not order.answered and luck < self.habits.abandons:
                return
            if luck < self.habits.abandons + self.habits.holds and not self.quiet:
                task = asyncio.create_task(self._later(order), name="history.held")
                self._held.add(task)
                task.add_done_callback(self._held.discard)
                return
            await asyncio.sleep(self.chance.uniform(0.05, 0.3))

    async def _later(self, order: Order) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(0.3, 1.0) * self.habits.hold_s):
                await self._quiet.wait()
        await self._carry(order)

    async def _try(self, order: Order) -> bool:
        """One attempt. True: the outcome is known."""
        await self._up.wait()
        line = self._line
        if line is None:
            return False
        self.op += 1
        op, process = self.op, self.persona.process
        order.tries += 1
        self._write(
            Invoke(_now(), process, self.conn, op, order.room, self.persona.user,
                   order.payload["client_id"], order.name, order.payload.get("seq", 0))
        )  # fmt: skip
        try:
            sent = await line.request(order.name, order.payload, _Sent, ACK_S)
        except OPEN_OUTCOMES as error:
            self._write(Unknown(_now(), process, op, error.code))
            if error.code == "disconnected":
                await line.close()
            return False
        except HubbubError as error:
            self._write(Refused(_now(), process, op, error.code))
            if isinstance(error, RateLimited):
                await asyncio.sleep(error.retry_after_s or 1.0)
            return True
        self._write(Ok(_now(), process, op, sent.seq, sent.id, sent.at))
        self._note(order, sent)
        return True

    def _note(self, order: Order, sent: _Sent) -> None:
        if order.name == "message:send" and not order.answered:
            self.mine[order.room] = [*self.mine[order.room][-50:], sent.seq]
        order.answered = True
        if len(self._done) < 200:
            self._done.append(order)
        else:
            self._done[self.chance.randrange(200)] = order

    # ---- reading ----

    async def read(self) -> None:
        """Pages of history from any hub, until cancelled."""
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / self.habits.page_every_s))
            room = self.chance.choice(list(self.ears))
            after = -1
            if self.chance.random() < 0.3:
                after = self.chance.randrange(self.ears[room].reach + 1)
            await self.page(room, after)

    async def page(self, room: str, after: int = -1) -> int | None:
        """The head as the page tells it; None: there was no answer."""
        query = {"limit": PAGE_ROWS} | ({} if after < 0 else {"after": after})
        began = _now()
        answer = await self._get(f"/api/v1/rooms/{room}/events", query)
        if answer is None:
            return None
        page = _read_page(answer)
        rows = tuple(row_of(event)[1] for event in page.events)
        self._write(Page(began, _now(), self.persona.process, room, after, page.head, rows))
        return page.head

    async def _get(self, path: str, query: Mapping[str, int]) -> bytes | None:
        try:
            async with self.http.get(
                self.chance.choice(self.hubs) + path,
                params=query,
                headers={"Authorization": f"Bearer {self.persona.token}"},
                timeout=aiohttp.ClientTimeout(total=PAGE_S),
            ) as answer:
                return await answer.read() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def head(self, room: str, give_up: float) -> int:
        """Where the log ends now. Past it (a log that nobody has) when nobody answers in time."""
        while time.monotonic() < give_up:
            found = await self.page(room)
            if found is not None:
                return found
            await asyncio.sleep(0.1)
        return sys.maxsize

    async def settle(self, heads: Mapping[str, int], give_up: float) -> list[str]:
        """Wait, without a word, until this client has each room to its end. Returns what is
        missing."""
        wanted = [room for room in self.ears if not await self._has(room, heads[room], give_up)]
        for room in self.ears:
            self._write(Settled(_now(), self.persona.process, room))
        return wanted

    async def _has(self, room: str, head: int, give_up: float) -> bool:
        while self.ears[room].reach < head:
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(0.1)
        return True

    def _write(self, record: Any) -> None:
        self.writer.write(record)


def _now() -> int:
    return time.monotonic_ns()
