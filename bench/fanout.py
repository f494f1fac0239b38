"""Messages between nodes over Redis: CPU of the node that publishes and of the one that hears.

    python -m bench.fanout [seconds] [messages a second]

400 bytes each, over 500 channels, 20 in a loop turn; redis-py beside it in the same run, once with
a pipeline for each turn and once as its documentation shows. A core of CPU does 1,000,000 us / CPU.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import redis.asyncio
import uvloop

from server.kernel.clock import System
from server.kernel.config import Redis as Settings
from server.kernel.ids import NodeId
from storage.redis import open_redis
from tests.support.servers import redis as servers

CHANNELS = [f"room-{i:06}-0197c1f2-7a3b-7c11" for i in range(500)]
BODY = b"x" * 400
TURN = 20
QUIET_S = 0.5

Publish = Callable[[int], Awaitable[None]]
"""Publishes one turn's messages, beginning with the number given."""


@dataclass
class Figures:
    messages: int
    wall_s: float
    cpu_s: float

    def line(self, who: str) -> str:
        us, rate = 1e6 * self.cpu_s / max(1, self.messages), self.messages / self.wall_s
        core = 1e6 / us if us else 0
        return f"{who:34} {self.messages:9,} {rate:10,.0f}/s {us:8.2f} us {core:10,.0f}/s a core"


async def paced(publish: Publish, seconds: float, per_s: float) -> Figures:
    """Late turns are made up for: a publisher that cannot keep up runs without pause."""
    started, cpu, sent = time.monotonic(), time.process_time(), 0
    while (gone := time.monotonic() - started) < seconds:
        if sent > gone * per_s:
            await asyncio.sleep(0.001)
            continue
        await publish(sent)
        sent += TURN
    return Figures(sent, time.monotonic() - started, time.process_time() - cpu)


async def publish_ours(settings: Settings, seconds: float, per_s: float) -> Figures:
    shared = await open_redis(settings, node_id=NodeId("publisher"), clock=System())

    async def turn(first: int) -> None:
        for i in range(first, first + TURN):
            shared.fanout.publish(CHANNELS[i % 500], BODY)
        await asyncio.sleep(0)

    try:
        figures = await paced(turn, seconds, per_s)
        assert shared.fanout.counters["dropped"] == 0, "Redis cannot keep up with that rate"
        return figures
    finally:
        await shared.close()


async def publish_theirs(
    settings: Settings, seconds: float, per_s: float, *, pipelined: bool
) -> Figures:
    client = redis.asyncio.Redis(port=settings.port, password=settings.password)

    async def in_pipeline(first: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for i in range(first, first + TURN):
            pipeline.publish(CHANNELS[i % 500], BODY)
        await pipeline.execute()

    async def one_by_one(first: int) -> None:
        for i in range(first, first + TURN):
            await client.publish(CHANNELS[i % 500], BODY)

    try:
        return await paced(in_pipeline if pipelined else one_by_one, seconds, per_s)
    finally:
        await client.aclose()


async def hear_ours(settings: Settings) -> Figures:
    shared = await open_redis(settings, node_id=NodeId("listener"), clock=System())
    count = 0

    def heard(channel: str, data: bytes) -> None:
        nonlocal count
        count += 1

    shared.fanout.listen(heard, lambda: None)
    await shared.fanout.subscribe(CHANNELS)
    print("ready", flush=True)
    figures = await until_quiet(lambda: count)
    await shared.close()
    return figures


async def hear_theirs(settings: Settings) -> Figures:
    client = redis.asyncio.Redis(port=settings.port, password=settings.password)
    count = 0

    async def listen() -> None:
        nonlocal count
        async for message in pubsub.listen():
            if message["type"] == "message":
                count += 1

    async with client.pubsub() as pubsub:
        await pubsub.subscribe(*CHANNELS)
        print("ready", flush=True)
        listening = asyncio.create_task(listen())
        figures = await until_quiet(lambda: count)
        listening.cancel()
    await client.aclose()
    return figures


async def until_quiet(count: Callable[[], int]) -> Figures:
    """From the first message to the last."""
    while not count():  # noqa: ASYNC110 (nothing announces it)
        await asyncio.sleep(0.01)
    started, cpu, before = time.monotonic(), time.process_time(), count()
    ended, last, used = started, before, cpu
    while time.monotonic() - ended < QUIET_S:
        await asyncio.sleep(0.05)
        if count() != last:
            ended, last, used = time.monotonic(), count(), time.process_time()
    return Figures(last - before, max(1e-9, ended - started), used - cpu)


async def measure(
    settings: Settings, listener: str, publisher: Callable[[], Awaitable[Figures]]
) -> tuple[Figures, Figures]:
    """The listener is a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.fanout", "--listen", listener,
        json.dumps([settings.port, settings.password, settings.prefix]),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    while (await child.stdout.readline()).strip() != b"ready":
        assert child.returncode is None
    published = await publisher()
    *_, last = (await child.stdout.read()).splitlines()
    await child.wait()
    return published, Figures(**json.loads(last))


async def main(seconds: float, per_s: float) -> None:
    settings = servers.settings("redis")
    print(f"{len(BODY)} bytes, {per_s:,.0f}/s for {seconds:.0f} s, {TURN} in a loop turn")
    rounds: tuple[tuple[str, str, Callable[[], Awaitable[Figures]]], ...] = (
        ("hubbub", "ours", lambda: publish_ours(settings, seconds, per_s)),
        ("redis-py, pipeline", "theirs",
         lambda: publish_theirs(settings, seconds, per_s, pipelined=True)),
        ("redis-py, await publish", "theirs",
         lambda: publish_theirs(settings, seconds, per_s, pipelined=False)),
    )  # fmt: skip
    for name, listener, publisher in rounds:
        published, heard = await measure(settings, listener, publisher)
        print(published.line(f"{name}: published"))
        print(heard.line(f"{name}: heard"))


def listen(kind: str, where: str) -> None:
    port, password, prefix = json.loads(where)
    settings = Settings(port=port, password=password, prefix=prefix)
    figures = uvloop.run(hear_ours(settings) if kind == "ours" else hear_theirs(settings))
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--listen"]:
        listen(*sys.argv[2:])
    else:
        given = [float(word) for word in sys.argv[1:]]
        uvloop.run(main(*(given + [4.0, 20_000.0][len(given) :])))
