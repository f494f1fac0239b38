"""The proxy's own file, run by the real proxy in front of hubs on the loopback."""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec
import pytest
from aiohttp import ClientSession, CookieJar, TCPConnector, WSMsgType, web

from storage.s3 import open_s3
from tests.support.file_stores import clock_now, fresh_bucket, pattern, put
from tests.support.images import ROOT, programs
from tests.support.servers.base import Missing, Process, accepts, free_port, missing, server_folder
from tests.support.servers.minio import minio

pytestmark = pytest.mark.slow

CADDYFILE = ROOT / "docker" / "Caddyfile"


@dataclass
class Door:
    site: str
    files: str


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def door(ports: tuple[int, int]) -> Iterator[Door]:
    """Without certificates: sites by http. Its hubs are at `ports`."""
    try:
        programs("caddy")
    except Missing as why:
        missing("Caddy", str(why))
    with server_folder("caddy") as folder:
        made = Door(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
        hubs = {f"HUB_{n}": f"127.0.0.1:{port}" for n, port in enumerate(ports, 1)}
        process = Process(
            "caddy", ["caddy", "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"], folder,
            env={"HUBBUB_SITE": made.site, "FILES_SITE": made.files, "CADDY_ADMIN": "off",
                 "MINIO": minio().config.endpoint, "HOME": str(folder),
                 "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), **hubs},
        )  # fmt: skip
        doors = [int(url.rpartition(":")[2]) for url in (made.site, made.files)]
        process.start(lambda: all(accepts("127.0.0.1", p) for p in doors), within_s=20)
        yield made
        process.stop()


@asynccontextmanager
async def a_hub(port: int) -> AsyncIterator[None]:
    """Answers every request with its port; a WebSocket hears it first."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") != "websocket":
            return web.json_response({"hub": port, "for": request.headers["X-Forwarded-For"]})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(str(port))
        await socket.close()
        return socket

    async def healthy(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/healthz", healthy)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def hubs(ports: tuple[int, int]) -> AsyncIterator[AsyncExitStack]:
    """Both; closing the stack ends the second."""
    async with a_hub(ports[0]), AsyncExitStack() as second:
        await second.enter_async_context(a_hub(ports[1]))
        yield second


@asynccontextmanager
async def a_client(number: int = 1) -> AsyncIterator[ClientSession]:
    """One with an address of its own, which keeps no cookie."""
    connector = TCPConnector(local_addr=(f"127.0.0.{number}", 0), force_close=True)
    async with ClientSession(connector=connector, cookie_jar=CookieJar()) as session:
        yield session


async def hub_of(client: ClientSession, url: str) -> int:
    async with client.get(url) as answer:
        assert answer.status == 200
        hub: int = (await answer.json())["hub"]
        return hub


def test_the_file_is_valid_and_formatted() -> None:
    env = {"HUBBUB_SITE": "chat.example.org", "FILES_SITE": "files.example.org", "PATH": "/usr/bin"}
    try:
        programs("caddy")
    except Missing as why:
        missing("Caddy", str(why))

    valid = subprocess.run(
        ["caddy", "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    formatted = subprocess.run(
        ["caddy", "fmt", str(CADDYFILE)], capture_output=True, text=True, check=True
    )

    assert valid.returncode == 0, valid.stderr
    assert formatted.stdout == CADDYFILE.read_text("utf-8")


async def test_every_request_of_a_client_that_polls_comes_to_one_hub(
    door: Door, hubs: AsyncExitStack, ports: tuple[int, int]
) -> None:
    chosen = {}
    for number in range(1, 13):
        async with a_client(number) as client:
            seen = {
                await hub_of(client, f"{door.site}/socket.io/?EIO=4&transport=polling{sid}")
                for sid in ("", "&sid=abc", "&sid=abc", "&sid=abc", "&transport=websocket&sid=abc")
            }
            assert len(seen) == 1
            chosen[number] = seen.pop()

    assert set(chosen.values()) == set(ports)


async def test_the_api_and_new_websockets_use_all_hubs(
    door: Door, hubs: AsyncExitStack, ports: tuple[int, int]
) -> None:
    async with a_client() as client:
        api = {await hub_of(client, f"{door.site}/api/v1/server") for _ in range(40)}
        sockets = set()
        for _ in range(40):
            url = f"{door.site}/socket.io/?EIO=4&transport=websocket"
            async with client.ws_connect(url) as socket:
                message = await socket.receive()
                assert message.type is WSMsgType.TEXT
                sockets.add(int(message.data))

    assert api == set(ports)
    assert sockets == set(ports)


async def test_a_hub_that_stops_costs_no_request(
    door: Door, hubs: AsyncExitStack, ports: tuple[int, int]
) -> None:
    async with a_client() as client:
        await hub_of(client, f"{door.site}/api/v1/server")
        await hubs.aclose()
        started = time.monotonic()

        seen = [await hub_of(client, f"{door.site}/api/v1/server") for _ in range(20)]

    assert set(seen) == {ports[0]}
    assert time.monotonic() - started < 5


async def test_hubs_are_told_the_clients_address_and_not_what_he_claims(
    door: Door, hubs: AsyncExitStack
) -> None:
    async with a_client(7) as client:
        lie = {"X-Forwarded-For": "203.0.113.9"}
        async with client.get(f"{door.site}/api/v1/server", headers=lie) as answer:
            told = (await answer.json())["for"]

    assert told == "127.0.0.7"


async def test_signed_addresses_of_files_work_through_the_door_and_nothing_else_does(
    door: Door,
) -> None:
    public = msgspec.structs.replace(fresh_bucket(minio().config), public_endpoint=door.files)
    files = await open_s3(public, clock=clock_now())
    file = await put(files, pattern(100_000))
    url = files.url(file.id, 60)
    assert url is not None

    async with a_client() as client:
        async with client.get(url, headers={"Range": "bytes=500-599"}) as answer:
            assert (answer.status, await answer.read()) == (206, pattern(100, 500))
        async with client.get(url.partition("?")[0]) as answer:
            assert answer.status == 403
        async with client.put(url, data=b"worse") as answer:
            assert answer.status == 405
    await files.close()
