"""A process of clients: `python -m tests.faults.history.load PLAN.json HISTORY.jsonl`.

It obeys lines on its standard input: `quiet` (no new commands; finish what is open) and `settle
SECONDS` (wait for the rest of each log, then end). It answers each by a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.faults.history.client import Client
from tests.faults.history.habits import Habits, Persona
from tests.faults.history.record import Writer

FLUSH_S = 1.0
FINISH_S = 90.0
SOCKETS = 500


class Plan(msgspec.Struct):
    seed: int
    hubs: list[str]
    personas: list[Persona]
    habits: Habits = msgspec.field(default_factory=Habits)


async def run(plan: Plan, writer: Writer) -> None:
    connector = aiohttp.TCPConnector(limit=SOCKETS, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
        clients = [
            Client(persona, plan.habits, plan.hubs, writer, http,
                   random.Random(f"{plan.seed} {persona.process}"))
            for persona in plan.personas
        ]  # fmt: skip
        forever: list[Coroutine[Any, Any, None]] = [_flush(writer)]
        for client in clients:
            forever += [client.live(), client.read()]
        kept = [group.create_task(one) for one in forever]
        talks = [group.create_task(c.talk()) for c in clients for _ in range(plan.habits.window)]
        try:
            await _obey(clients, talks)
        finally:
            for task in kept + talks:
                task.cancel()


async def _flush(writer: Writer) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        writer.flush()


async def _obey(clients: list[Client], talks: list[asyncio.Task[None]]) -> None:
    orders = await lines()
    while line := (await orders.readline()).decode().split():
        if line[0] == "quiet":
            say({"unfinished": await _quieten(clients, talks)})
        else:
            say({"missing": await _settle(clients, time.monotonic() + float(line[1]))})
            return


async def _settle(clients: list[Client], give_up: float) -> int:
    """How many logs, of all clients, lack their end when the time is over."""
    one_of = {room: client for client in clients for room in client.ears}
    rooms = list(one_of)
    heads = await asyncio.gather(*(one_of[room].head(room, give_up) for room in rooms))
    ends = dict(zip(rooms, heads, strict=True))
    missing = await asyncio.gather(*(client.settle(ends, give_up) for client in clients))
    return sum(map(len, missing))


async def _quieten(clients: list[Client], talks: list[asyncio.Task[None]]) -> int:
    """How many commands could not be finished in time."""
    for client in clients:
        client.be_quiet()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FINISH_S):
            await asyncio.gather(*talks)
            await asyncio.gather(*(client.finish() for client in clients))
    return sum(not task.done() for task in talks)


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def say(answer: dict[str, int]) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    plan_path, history_path = map(Path, sys.argv[1:3])
    plan = msgspec.json.decode(plan_path.read_bytes(), type=Plan)
    writer = Writer(history_path)
    try:
        asyncio.run(run(plan, writer))
    finally:
        writer.close()


if __name__ == "__main__":
    main()
