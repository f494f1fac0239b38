"""From `call:start` to the first decoded picture of the other side, in Chromium on loopback.

Two pages of one browser use the web SDK against `hubbub serve`; the one who is called accepts at
the first ring. Directly, and with `iceTransportPolicy: relay` through the server's TURN.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine, servers
from bench.generator import BUILD, HERE, CannotRun
from bench.works import Figures, Wanted

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

CLIENTS = HERE.parent / "clients"
SDK = BUILD / "sdk"
SOCKET_IO = CLIENTS / "node_modules" / "socket.io-client" / "dist" / "socket.io.esm.min.js"
SCRIPT = HERE / "peers" / "first_frame.js"
FLAGS = [
    "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection",
]  # fmt: skip
WAYS = {"direct": "all", "relay": "relay"}
"""By name: the pages' `iceTransportPolicy`."""
TEXT = "a video call through a real server, {}: Chromium to Chromium on loopback, {} calls"
FIGURE = "call:start to first frame ms"
WANTED = (Wanted(FIGURE, 1000, 300, lower_is_better=True),)
CALLS = 20
CALLS_QUICK = 5
PAGE = """<!doctype html><title>first frame</title><body>
<script type=importmap>{"imports": {"socket.io-client": "/bench/socket.io.js"}}</script>
<script type=module src=/bench/first_frame.js></script>"""


def compile_sdk() -> None:
    """Raises CannotRun."""
    compiler = CLIENTS / "node_modules" / ".bin" / "tsc"
    if not compiler.exists() or not SOCKET_IO.exists():
        raise CannotRun("The page needs the web client's packages: make web")
    line = [servers.node(), str(compiler.resolve()), "-p", str(CLIENTS / "js/tsconfig.build.json")]
    done = subprocess.run(
        [*line, "--outDir", str(SDK)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotRun(f"The web SDK does not compile:\n{done.stdout[-2000:]}")


def measure(way: str, calls: int) -> list[Figures]:
    """One entry for each call, the first left out: by it everything is loaded."""
    with _server() as url, _pages(url) as (caller, callee):
        policy = WAYS[way]
        user_id = callee.evaluate("policy => person.joins('callee', policy)", policy)
        caller.evaluate("policy => person.joins('caller', policy)", policy)
        room_id = caller.evaluate("id => person.room(id)", user_id)
        callee.evaluate("person.answers()")
        found = []
        for _ in range(calls + 1):
            found.append({FIGURE: float(caller.evaluate("id => person.calls(id)", room_id))})
            callee.evaluate("person.over()")
    return found[1:]


@contextlib.contextmanager
def _server() -> Iterator[str]:
    with servers.data_folder() as folder:
        port = machine.free_port()
        command = servers.hubbub_command(folder / "data", port)
        with servers.started(command, port, folder / "log"):
            yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _pages(url: str) -> Iterator[tuple[Page, Page]]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        raise CannotRun("Chromium is missing (Debian: apt install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise CannotRun("playwright is missing: make test installs it") from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            caller, callee = (_page(browser.new_context(), url) for _ in range(2))
            yield caller, callee
        finally:
            browser.close()


def _page(context: Any, url: str) -> Page:
    page: Page = context.new_page()
    page.route("**/bench/**", _serve)
    page.goto(f"{url}/bench/")
    page.wait_for_function("window.person !== undefined")
    return page


def _serve(route: Route) -> None:
    """The bench's files, as if they were the server's own."""
    name = route.request.url.partition("/bench/")[2]
    if not name:
        route.fulfill(body=PAGE, content_type="text/html")
        return
    path = _file(name)
    if path is None or not path.is_file():
        route.fulfill(status=404)
    else:
        route.fulfill(body=path.read_text(), content_type="text/javascript")


def _file(name: str) -> Path | None:
    if name.startswith("sdk/"):
        return SDK / name.removeprefix("sdk/")
    return {"socket.io.js": SOCKET_IO, SCRIPT.name: SCRIPT}.get(name)
