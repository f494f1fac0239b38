"""Two pages with our SDK in a call through a real server; the way of one's media can be bent."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, Route, async_playwright

from media.wire.stun import BINDING, build
from tests.support.browsing import FLAGS
from tests.support.links import Link, link_to
from tests.support.network import Networks, Weather
from tests.support.process import ROOT, Running, start_server
from tests.support.servers.base import free_port, missing

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
CALL_FLAGS = [
    *FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]  # fmt: skip
HERE = Path(__file__).parent
PATIENCE_S = 30.0


@cache
def sdk() -> str:
    """Our SDK in one file."""
    bundler = ROOT / "clients" / "node_modules" / ".bin" / "rolldown"
    if not bundler.exists():
        missing("the web client's packages", "make web")
    line = [str(bundler), "js/src/index.ts", "--format", "esm", "--log-level", "silent"]
    made = subprocess.run(
        line, cwd=ROOT / "clients", capture_output=True, text=True, check=True, timeout=60
    )
    return made.stdout


@dataclass
class Talker:
    """A person in a page."""

    name: str
    page: Page
    ids: dict[str, str] = field(default_factory=dict)

    async def does(self, what: str, *values: object) -> Any:
        return await self.page.evaluate(f"values => talker.{what}(...values)", list(values))

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = await self.does("state")
        return state

    async def samples(self) -> list[dict[str, float]]:
        found: list[dict[str, float]] = await self.page.evaluate("talker.samples")
        return found

    async def frames(self) -> int:
        return int(await self.page.evaluate("talker.samples.at(-1)?.frames ?? 0"))

    async def sees(self, more: int = 15, within_s: float = PATIENCE_S) -> float:
        """Waits until so many more frames were decoded; how long that took, in seconds."""
        began, before = time.monotonic(), await self.frames()
        while (seconds := time.monotonic() - began) < within_s:
            if await self.frames() >= before + more:
                return seconds
            await asyncio.sleep(0.1)
        raise AssertionError(f"{self.name} sees nothing: {await self.state()}")


@dataclass
class Meeting:
    server: Running
    alice: Talker
    bob: Talker
    room_id: str
    networks: Networks
    folder: Path
    line: Link
    """From Alice's page to the hub."""

    async def calls(self) -> str:
        """Alice calls and Bob accepts; both see each other. The call's id."""
        accepted = asyncio.create_task(self.bob.does("accepts"))
        call_id: str = await self.alice.does("start", self.room_id)
        assert await accepted == call_id
        await asyncio.gather(self.alice.sees(), self.bob.sees())
        return call_id

    async def relays(self) -> None:
        """Both by TURN alone; what Alice sends and hears goes through the weather."""
        media = self.server.port
        bent = await self.networks.to(("127.0.0.1", media))
        await self._route(self.alice, {"relay": f"127.0.0.1:{bent[1]}"})
        await self._route(self.bob, {"relay": f"127.0.0.1:{media}"})

    async def goes_directly(self) -> None:
        """From page to page, through the weather; Bob learns Alice's address from her packets."""
        await self.alice.page.expose_function(
            "wayTo", lambda host, port: self.networks.to((host, port))
        )
        await self._route(self.alice, {"through": True})
        await self._route(self.bob, {"silent": True})

    def loses_all(self) -> None:
        """Nothing of Alice's comes through any more, and nobody is told."""
        self.networks.weather = Weather(loss=1.0)
        self.line.blackhole()

    def has_all_again(self) -> None:
        self.networks.weather = Weather()
        self.line.heal()

    @property
    def media_pid(self) -> int:
        """The child of the server that has the media port."""
        pid = self.server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if b"media.process" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        raise AssertionError("no media process")

    def hub_comes_back(self) -> None:
        """On the same port, with the same data. Waits until it listens."""
        port = self.server.port
        self.server = start_server(self.folder / "data", port=port)

    async def media_listens(self) -> None:
        """Waits until the media port answers a STUN request."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.connect(("127.0.0.1", self.server.port))
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        asking.send(build(BINDING, bytes(12)))
                        await asyncio.wait_for(loop.sock_recv(asking, 200), 0.1)
                    except OSError:
                        await asyncio.sleep(0.05)
                    else:
                        return

    async def call_events(self) -> list[Any]:
        """Of the room's log."""
        path = f"/api/v1/rooms/{self.room_id}/events?limit=500"
        page = await self.asks(path)
        return [event["content"] for event in page["events"] if event["type"] == "call"]

    async def ends_once(self, call_id: str) -> None:
        """It is still that call for both, and when Alice leaves one event says so."""
        for talker in (self.alice, self.bob):
            state = await talker.state()
            assert (state["id"], state["phase"]) == (call_id, "connected"), state
        await self.alice.does("leave")
        async with asyncio.timeout(10):
            while not await self.call_events():  # noqa: ASYNC110 (it is asked over HTTP)
                await asyncio.sleep(0.1)
        (event,) = await self.call_events()
        assert (event["call_id"], event["outcome"]) == (call_id, "hung_up")

    async def asks(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {await self.alice.does('token')}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(self.server.base_url + path) as answer,
        ):
            return await answer.json()

    async def _route(self, talker: Talker, route: object) -> None:
        await talker.page.evaluate("route => { window.route = route; }", route)


@asynccontextmanager
async def meeting(folder: Path, seed: int) -> AsyncIterator[Meeting]:
    """The server has a port of its own, so that it is found again after its death."""
    if CHROMIUM is None:
        missing("Chromium", "install it (apt install chromium) or name it in CHROMIUM")
    networks = Networks(seed)
    met: Meeting | None = None
    server = start_server(folder / "data", port=free_port())
    try:
        async with link_to("127.0.0.1", server.port) as line, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CALL_FLAGS)
            alice = await _talker(browser, "alice", f"http://127.0.0.1:{line.port}")
            bob = await _talker(browser, "bob", server.base_url)
            room_id: str = await alice.does("room", bob.ids["user_id"])
            met = Meeting(server, alice, bob, room_id, networks, folder, line)
            yield met
            await browser.close()
    finally:
        networks.close()
        (met.server if met is not None else server).stop()


def _serving(kind: str, body: str) -> Callable[[Route], Awaitable[None]]:
    async def fulfill(route: Route) -> None:
        await route.fulfill(body=body, content_type=kind)

    return fulfill


async def _talker(browser: Browser, name: str, url: str) -> Talker:
    context = await browser.new_context()
    page = await context.new_page()
    files = {
        "/page": ("text/html", "<!doctype html><body><script type=module src=/page.js></script>"),
        "/page.js": ("text/javascript", (HERE / "page.js").read_text()),
        "/sdk.js": ("text/javascript", sdk()),
    }
    for path, (kind, body) in files.items():
        await page.route(url + path, _serving(kind, body))
    await page.add_init_script(path=HERE / "route.js")
    await page.goto(url + "/page")
    await page.wait_for_function("window.talker")
    talker = Talker(name, page)
    talker.ids = await talker.does("joins", name)
    return talker
