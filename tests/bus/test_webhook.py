"""Facts by POST to a server on loopback that answers, fails, hangs, redirects and pours."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web

from server.bus.facts import stored
from server.bus.handlers import GiveUp, Retry, Verdict
from server.bus.webhook import Webhook, judge
from server.bus.wiring import BusPart, build
from server.kernel.clock import Virtual
from server.kernel.config import Bus as BusSettings
from server.kernel.config import Config
from server.kernel.logs import Secret
from server.kernel.outbound import Answer, NoAnswer, Outbound
from server.kernel.tasks import TaskOwner
from storage.api import Bus
from storage.memory.bus import MemoryBus
from storage.sqlite import open_sqlite
from tests.support.buses import facts
from tests.support.servers.base import free_port
from tests.support.stores import batch, event, fill
from tests.support.waiting import until

SECRET = "the-secret-of-the-hook"
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Hook:
    """`posts`: (headers, body) of each; `connections`: ports they came from."""

    port: int = 0
    respond: Respond | None = None
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0
    connections: set[int] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def seqs(self) -> list[list[int]]:
        told = (msgspec.json.decode(body)["facts"] for _, body in self.posts)
        return [[each["data"]["seq"] for each in some] for some in told]

    async def post(self, request: web.Request) -> web.StreamResponse:
        self.posts.append((dict(request.headers), await request.read()))
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername")[1])
        return web.Response() if self.respond is None else await self.respond(request)

    async def other(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    app = web.Application()
    app.router.add_post("/hook", made.post)
    app.router.add_route("*", "/elsewhere", made.other)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def deliver(url: str, *, limit_s: float = 5.0) -> Verdict:
    outbound = Outbound(limit_s=limit_s)
    webhook = Webhook(url, Secret(SECRET), post=outbound.post, clock=Virtual())
    try:
        return await webhook.handle(facts(1, 2))
    finally:
        await outbound.close()


def answers(status: int, **headers: str) -> Respond:
    async def respond(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, headers={k.replace("_", "-"): headers[k] for k in headers}
        )

    return respond


async def test_facts_go_out_as_json_with_a_signature_over_id_time_and_body(hook: Hook) -> None:
    assert await deliver(hook.url) is None

    [(headers, body)] = hook.posts
    assert msgspec.json.decode(body) == {"facts": msgspec.to_builtins(facts(1, 2))}
    at, number = headers["X-Hubbub-Timestamp"], headers["X-Hubbub-Delivery"]
    expected = hmac.new(SECRET.encode(), f"{number}.{at}.".encode() + body, hashlib.sha256)
    assert headers["X-Hubbub-Signature"] == f"sha256={expected.hexdigest()}"
    assert (at, headers["Content-Type"]) == ("1800000000", "application/json")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, None), (204, None),
        (410, GiveUp("status 410", each=True)), (404, GiveUp("status 404", each=True)),
        (400, GiveUp("status 400")), (413, GiveUp("status 413")), (422, GiveUp("status 422")),
        (500, Retry("status 500")), (503, Retry("status 503")),
        (301, Retry("status 301")), (307, Retry("status 307")), (304, Retry("status 304")),
        (408, Retry("status 408")), (429, Retry("status 429")),
    ],
)  # fmt: skip
def test_a_status_is_a_verdict(status: int, verdict: Verdict) -> None:
    assert judge(Answer(status)) == verdict


async def test_a_busy_server_may_say_when_to_come_again(hook: Hook) -> None:
    hook.respond = answers(429, Retry_After="120")

    assert await deliver(hook.url) == Retry("status 429", 120.0)


async def test_nobody_waits_for_days_because_a_header_says_so(hook: Hook) -> None:
    hook.respond = answers(503, Retry_After="99999")

    assert await deliver(hook.url) == Retry("status 503", 3_600.0)


@pytest.mark.parametrize("when", ["soon", "-1", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_time_that_is_no_number_of_seconds_is_ignored(hook: Hook, when: str) -> None:
    hook.respond = answers(503, Retry_After=when)

    assert await deliver(hook.url) == Retry("status 503")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    hook.respond = answers(status, Location="/elsewhere")

    assert await deliver(hook.url) == Retry(f"status {status}")
    assert hook.elsewhere == 0


async def test_a_server_that_hangs_is_given_up_in_time(hook: Hook) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    hook.respond = hang

    assert await deliver(hook.url, limit_s=0.1) == Retry("no answer in time")


async def test_a_server_that_drips_its_answer_is_given_up_in_time(hook: Hook) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.01)

    hook.respond = drip

    assert await deliver(hook.url, limit_s=0.2) == Retry("no answer in time")


async def test_megabytes_of_answer_are_not_read(hook: Hook) -> None:
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100 * 2**20:
            await response.write(bytes(2**16))
            sent += 2**16
        return response

    hook.respond = pour

    assert await deliver(hook.url) is None
    assert sent < 50 * 2**20


async def test_a_bomb_is_not_unpacked(hook: Hook) -> None:
    packed = gzip.compress(bytes(20 * 2**20))

    async def respond(request: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    hook.respond = respond

    assert await deliver(hook.url) is None


async def test_nobody_there_is_a_reason_without_an_address() -> None:
    verdict = await deliver(f"http://127.0.0.1:{free_port()}/hook?token=abc")

    assert isinstance(verdict, Retry)
    assert "127.0.0.1" not in verdict.reason
    assert "abc" not in verdict.reason


async def test_what_is_no_http_is_no_answer() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HELLO THERE\r\n\r\n" + b"x" * 100_000)
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outbound = Outbound(limit_s=2)

    with pytest.raises(NoAnswer):
        await outbound.post(f"http://127.0.0.1:{port}/", b"{}", {})

    await outbound.close()
    server.close()


# ---- the whole part -----------------------------------------------------------------------------


@asynccontextmanager
async def part(url: str, bus: Bus, clock: Virtual, **given: Any) -> AsyncIterator[BusPart]:
    settings = BusSettings(webhook_url=url, webhook_secret=SECRET, **given)
    tasks = TaskOwner("test")
    made = build(Config(bus=settings), bus, clock=clock, tasks=tasks)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
        await tasks.close()


async def test_what_is_told_reaches_the_hook(hook: Hook) -> None:
    clock = Virtual()
    async with part(hook.url, MemoryBus(clock), clock) as made:
        made.tell(facts(1, 2))
        made.tell(facts(3))

        await until(lambda: made.snapshot()["bus_delivered_total"]["values"]["webhook"] == 3)

        assert hook.seqs() == [[1, 2, 3]]


async def test_a_connection_is_used_again(hook: Hook) -> None:
    clock = Virtual()
    async with part(hook.url, MemoryBus(clock), clock) as made:
        for number in range(5):
            made.tell(facts(number))
            await until(lambda n=number: len(hook.posts) == n + 1)  # type: ignore[misc]
            await made.workers[0].settled()

    assert len(hook.connections) == 1


async def test_a_hook_that_fails_gets_the_facts_again_and_nothing_secret_is_logged(
    hook: Hook,
) -> None:
    clock = Virtual()
    bus = MemoryBus(clock)
    hook.respond = answers(500)
    with structlog.testing.capture_logs() as lines:
        async with part(hook.url + "?token=abcdef", bus, clock, attempts=3) as made:
            made.tell(facts(1))
            for posts in (1, 2, 3):
                await until(lambda n=posts: len(hook.posts) == n)  # type: ignore[misc]
                await made.workers[0].settled()
                clock.advance(100)
                await bus.postpone("webhook", {"wake": 0})
            [letter] = await bus.dead()

    assert (letter.group, letter.reason, letter.attempts) == ("webhook", "status 500", 3)
    deliveries = {headers["X-Hubbub-Delivery"] for headers, _ in hook.posts}
    assert len(deliveries) == 3
    assert {line["event"] for line in lines} >= {"bus.postponed", "bus.buried"}
    assert SECRET not in str(lines)
    assert "abcdef" not in str(lines)
    assert "127.0.0.1" not in str(lines)


async def test_without_a_hook_nothing_is_wanted() -> None:
    clock, tasks = Virtual(), TaskOwner("test")
    made = build(Config(), MemoryBus(clock), clock=clock, tasks=tasks)
    await made.start()

    made.tell(facts(1))

    assert (made.wanted, made.kept, len(tasks)) == (False, 0, 0)
    await made.close()


async def test_a_process_without_the_role_tells_and_takes_nothing(hook: Hook) -> None:
    clock, tasks = Virtual(), TaskOwner("test")
    config = Config(bus=BusSettings(webhook_url=hook.url, webhook_secret=SECRET))
    config = msgspec.structs.replace(
        config, cluster=msgspec.structs.replace(config.cluster, roles=("hub",))
    )
    bus = MemoryBus(clock)
    await bus.join("webhook")
    made = build(config, bus, clock=clock, tasks=tasks)
    await made.start()

    made.tell(facts(1))
    await until(lambda: not made.kept)

    assert await bus.waiting() == {"webhook": 1}
    assert hook.posts == []
    await made.close()
    await tasks.close()


async def test_what_was_stored_while_the_hook_was_down_reaches_it_after_a_restart(
    hook: Hook, tmp_path: Path
) -> None:
    clock = Virtual()
    dead_end = f"http://127.0.0.1:{free_port()}/"
    store = await open_sqlite(tmp_path, clock=clock)
    await fill(store)
    async with part(dead_end, store.bus, clock) as made:
        append = store.log.append(batch(event(1)))
        made.tell([stored(event(1))], after=append)
        await append
        await until(lambda: made.snapshot()["bus_retried_total"]["values"]["webhook"] == 1)
    await store.close()

    clock.advance(100)
    store = await open_sqlite(tmp_path, clock=clock)
    async with part(hook.url, store.bus, clock):
        await until(lambda: hook.posts)
    assert await store.bus.waiting() == {"webhook": 0}
    await store.close()

    assert hook.seqs() == [[1]]
