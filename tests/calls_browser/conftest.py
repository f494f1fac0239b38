"""Two homes and a server between them, a browser in each, and a page that knows only the wire."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Page, Playwright, sync_playwright

from tests.support import firefox
from tests.support.browsing import FLAGS
from tests.support.firefox import believe
from tests.support.namespaces import Machine, Street, street
from tests.support.process import ROOT, start_server
from tests.support.servers.base import Missing, missing, server_folder
from tests.support.servers.redis import Certificates

PAGE_PORT, PORT = 8080, 8008
NAME = "hub.test"
SECRET = "what both know who make and check tickets"
SOCKET_IO = ROOT / "clients" / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"
FOREIGN = Path(__file__).with_name("foreign.js")
PATIENCE_S = 30.0
CALL_FLAGS = [
    *FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


class Evaluating(Protocol):
    def goto(self, address: str) -> object: ...
    def evaluate(self, expression: str) -> Any: ...


@dataclass(frozen=True)
class Town:
    street: Street
    certificates: Certificates
    folder: Path

    @property
    def hub(self) -> str:
        return f"http://{self.street.router.address}:{PORT}"

    @property
    def names(self) -> dict[str, str]:
        return {NAME: self.street.router.address}

    @property
    def page(self) -> str:
        """Of another origin than the server: as a foreign application would be."""
        return f"http://{self.street.router.address}:{PAGE_PORT}"


@dataclass
class Foreigner:
    """A device of somebody in a browser's tab."""

    name: str
    tab: Evaluating
    username: str = ""
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def user_id(self) -> str:
        return self.ids["user_id"]

    @property
    def device_id(self) -> str:
        return self.ids["device_id"]

    def joins(self, hub: str, username: str) -> None:
        """Signs up, or logs in on a device of its own where that name is taken."""
        self.username = username
        given = ", ".join(map(json.dumps, (self.name, hub, username)))
        self.ids = self.tab.evaluate(f"Device.joins({given})")

    def does(self, script: str, *values: object) -> Any:
        """`does("starts", room_id, "audio")`: a method of the page's device."""
        given = ", ".join(map(json.dumps, values))
        return self.tab.evaluate(f"devices[{json.dumps(self.name)}].{script}({given})")

    def asks(self, event: str, **payload: object) -> Any:
        return self.does("asks", event, payload)

    def gets(self, event: str, **payload: object) -> Any:
        return self.does("gets", event, payload)

    def http(self, method: str, path: str, *body: object) -> Any:
        return self.does("http", method, path, *body)

    def heard(self, event: str) -> list[Any]:
        told = self.tab.evaluate(f"devices[{json.dumps(self.name)}].heard")
        assert [one for one in told if one["name"] == "error"] == []
        return [one["payload"] for one in told if one["name"] == event]

    def hears(self, event: str, where: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first such event, past or to come."""
        return eventually(lambda: next(filter(where, self.heard(event)), None), self.told)

    def told(self) -> object:
        return self.tab.evaluate(f"devices[{json.dumps(self.name)}].heard")

    def stats(self) -> Any:
        return self.does("stats")


def eventually(found: Callable[[], Any], why: Callable[[], object]) -> Any:
    """What it finds, once that is true; AssertionError with `why` after a while."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        result = found()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(why())


@pytest.fixture(scope="session")
def town() -> Iterator[Town]:
    """The server runs on the router, which forwards nothing by itself."""
    if not SOCKET_IO.exists():
        missing("socket.io-client", "make web")
    try:
        with server_folder("town") as folder, street() as made:
            router = made.router
            names = [f"IP:{router.address}", f"IP:{router.address6}", f"DNS:{NAME}"]
            certificates = Certificates(folder, names)
            built = Town(made, certificates, folder)
            with _pages(router), _hub(built):
                yield built
    except Missing as error:
        missing("a network of namespaces", str(error))


@pytest.fixture
def open_road(town: Town) -> Iterator[None]:
    """The homes reach each other."""
    town.street.forwards(True)
    yield
    town.street.forwards(False)


class _hub:
    """`hubbub serve`, as its operator would configure it here."""

    def __init__(self, town: Town) -> None:
        media_hosts = [town.street.router.address, town.street.router.address6]
        env = {
            "HUBBUB_SERVER__HOST": town.street.router.address,
            "HUBBUB_SERVER__REGISTRATION": "open",
            "HUBBUB_SERVER__ALLOWED_ORIGINS": json.dumps([town.page]),
            "HUBBUB_LIMITS__SIGNUP_PER_H": "1000",
            "HUBBUB_MEDIA__HOSTS": json.dumps(media_hosts),
            "HUBBUB_MEDIA__ICE_URLS": json.dumps([f"turns:{NAME}:{PORT + 1}?transport=tcp"]),
            "HUBBUB_MEDIA__ICE_SECRET": SECRET,
            # coturn's clients are many, and all of one user.
            "HUBBUB_MEDIA__USER_ALLOCATIONS": "200",
            "HUBBUB_MEDIA__TLS_CERTIFICATE": str(town.certificates.cert),
            "HUBBUB_MEDIA__TLS_KEY": str(town.certificates.key),
        }
        self._running = town.street.router.does(
            lambda: start_server(town.folder / "data", port=PORT, env=env)
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._running.stop()


class _pages:
    """Serves the foreign client."""

    def __init__(self, machine: Machine) -> None:
        self._server = machine.does(
            lambda: ThreadingHTTPServer((machine.address, PAGE_PORT), _Pages)
        )
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Pages(BaseHTTPRequestHandler):
    FILES = {"/socket.io.js": SOCKET_IO, "/foreign.js": FOREIGN}
    HTML = (
        b"<!doctype html><title>foreign</title><body>"
        b"<script src='/socket.io.js'></script><script src='/foreign.js'></script>"
    )

    def do_GET(self) -> None:
        path = self.FILES.get(self.path)
        body = path.read_bytes() if path else self.HTML
        self.send_response(200 if path or self.path == "/" else 404)
        self.send_header("Content-Type", "text/javascript" if path else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


def _chromium(playwright: Playwright, town: Town, machine: Machine) -> Iterator[Page]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        missing("Chromium", "install it (apt install chromium) or name it in CHROMIUM")
    assert program is not None
    home = town.folder / machine.name
    believe(town.certificates.ca, home / ".pki" / "nssdb")
    browser = playwright.chromium.launch(
        executable_path=machine.wrapped(program, town.folder, town.names),
        env={**os.environ, "HOME": str(home)},
        args=[*CALL_FLAGS, f"--unsafely-treat-insecure-origin-as-secure={town.page}"],
    )
    yield browser.new_page()
    browser.close()


@pytest.fixture(scope="session")
def left_chromium(playwright: Playwright, town: Town) -> Iterator[Page]:
    yield from _chromium(playwright, town, town.street.left)


@pytest.fixture(scope="session")
def right_chromium(playwright: Playwright, town: Town) -> Iterator[Page]:
    yield from _chromium(playwright, town, town.street.right)


@pytest.fixture(scope="session")
def left_firefox(town: Town) -> Iterator[Evaluating]:
    try:
        with firefox.firefox(
            town.street.left, town.folder, ca=town.certificates.ca, hosts=town.names
        ) as page:
            yield page
    except Missing as error:
        missing("Firefox", str(error))
