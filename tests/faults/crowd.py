"""Thousands of listeners in one process, each on a socket of its own with hardly any Python around:
`python -m tests.faults.crowd PLAN.json HISTORY.jsonl`, obeying as `history.load` does.

Each connects to the first hub that answers, syncs, listens, and on a break comes back within
`pause_s` at random, as the SDKs do.
"""

from __future__ import annotations

import asyncio
import random
import struct
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from hubbub import packets

from tests.faults.history.client import Ear
from tests.faults.history.habits import Persona
from tests.faults.history.load import Plan, lines, say
from tests.faults.history.record import Closed, Live, Opened, Settled, Synced, Writer, row_of

HELLO = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, CLOSE = 1, 8
SYNC_ACK = 1
SILENT_S = 30.0


class _Room(msgspec.Struct):
    head: int
    id: str


class _Synced(msgspec.Struct):
    room: _Room
    events: list[msgspec.Raw]
    more: bool


class _Data(msgspec.Struct):
    rooms: list[_Synced] = []


class _Answer(msgspec.Struct):
    ok: bool
    data: _Data = msgspec.field(default_factory=_Data)


_answer = msgspec.json.Decoder(_Answer).decode


def frame(text: str, opcode: int = TEXT) -> bytes:
    """A client's frame (RFC 6455, 5.2) under a mask of zeros, which changes nothing."""
    data = text.encode()
    first, size = 0x80 | opcode, len(data)
    if size <= 125:
        return struct.pack("!BB", first, 0x80 | size) + bytes(4) + data
    return struct.pack("!BBH", first, 0x80 | 126, size) + bytes(4) + data


class Listener:
    """One socket at a time of one persona in one room."""

    def __init__(self, plan: Plan, persona: Persona, writer: Writer) -> None:
        self._hubs = [urlsplit(hub) for hub in plan.hubs]
        self._pause_s = plan.habits.pause_s
        self._chance = random.Random(f"{plan.seed} {persona.process}")
        self.persona = persona
        self._writer = writer
        (self._room, self._log_id), *_ = persona.rooms.items()
        self._conn = 0
        self._began = 0
        self._replies: asyncio.StreamWriter
        self.ear = Ear(0)

    async def live(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.1, 1.0) * self._pause_s)
            try:
                async with asyncio.timeout(SILENT_S):
                    host, port = self._hubs[0].hostname, self._hubs[0].port
                    reader, writer = await asyncio.open_connection(host, port)
                await self._stay(reader, writer)
            except (OSError, EOFError, TimeoutError):
                pass
            self._hubs = [*self._hubs[1:], self._hubs[0]]

    async def _stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._replies = writer
        try:
            writer.write(HELLO.format(host=self._hubs[0].netloc).encode())
            async with asyncio.timeout(SILENT_S):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(packets.connect(self.persona.token)))
            while True:
                async with asyncio.timeout(SILENT_S):
                    opcode, data = await _read_frame(reader)
                if opcode == CLOSE:
                    raise EOFError
                if opcode == TEXT:
                    self._take(packets.read(data.decode()))
        finally:
            writer.close()
            self._write(Closed(_now(), self.persona.process, self._conn, ""))

    def _take(self, packet: packets.Packet) -> None:
        match packet:
            case packets.Accepted():
                self._accepted()
            case packets.Received("room:event", payload):
                self._hear(payload)
            case packets.Ack(_, payload):
                self._synced(payload)
            case packets.Ping(data):
                self._replies.write(frame(packets.pong(data)))
            case packets.Close() | packets.Refused():
                raise EOFError
            case _:
                pass

    def _accepted(self) -> None:
        self._conn += 1
        self.ear = Ear(self.ear.reach)
        self._write(Opened(_now(), self.persona.process, self._conn, self._hubs[0].geturl()))
        self._sync()

    def _sync(self) -> None:
        if self._replies.is_closing():
            return
        self._began = _now()
        known = {self._room: {"log_id": self._log_id, "seq": self.ear.have}}
        self._replies.write(frame(packets.event("sync", {"rooms": known, "limit": 500}, SYNC_ACK)))

    def _synced(self, payload: bytes) -> None:
        answer = _answer(payload)
        if not answer.ok:  # the store is too busy: a little later
            asyncio.get_running_loop().call_later(self._chance.uniform(0.2, 1.0), self._sync)
            return
        room = answer.data.rooms[0]
        rows = tuple(row_of(event)[1] for event in room.events)
        self._write(
            Synced(self._began, _now(), self.persona.process, self._conn, self._room,
                   self.ear.have, room.room.head, room.more, False, rows)
        )  # fmt: skip
        self.ear.have = rows[-1].seq if rows else self.ear.have
        if room.more:
            self._sync()

    def _hear(self, payload: bytes) -> None:
        _, row = row_of(payload)
        self._write(Live(_now(), self.persona.process, self._conn, self._room, row))
        self.ear.first = self.ear.first or row.seq
        self.ear.last = row.seq

    def settle(self) -> None:
        self._write(Settled(_now(), self.persona.process, self._room))

    def _write(self, record: Opened | Closed | Synced | Live | Settled) -> None:
        self._writer.write(record)


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """A server's frame: never masked, never in parts, as the hub sends them."""
    first, size = await reader.readexactly(2)
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    return first & 0x0F, await reader.readexactly(size)


def _now() -> int:
    return time.monotonic_ns()


async def run(plan: Plan, writer: Writer) -> None:
    crowd = [Listener(plan, persona, writer) for persona in plan.personas]
    async with asyncio.TaskGroup() as group:
        living = [group.create_task(listener.live()) for listener in crowd]
        living.append(group.create_task(flushing(writer)))
        orders = await lines()
        while (line := await orders.readline()) and not line.startswith(b"settle"):
            say({"unfinished": 0})
        for listener in crowd:
            listener.settle()
        say({"missing": 0})
        for task in living:
            task.cancel()


async def flushing(writer: Writer) -> None:
    while True:
        await asyncio.sleep(0.5)
        writer.flush()


def main() -> None:
    import uvloop

    plan_path, history_path = map(Path, sys.argv[1:3])
    plan = msgspec.json.decode(plan_path.read_bytes(), type=Plan)
    writer = Writer(history_path)
    try:
        uvloop.run(run(plan, writer))
    finally:
        writer.close()


if __name__ == "__main__":
    main()
