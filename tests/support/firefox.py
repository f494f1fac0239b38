"""A stock Firefox, driven over WebDriver BiDi (playwright drives only a Firefox of its own)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.namespaces import Machine
from tests.support.servers.base import Missing, Process, apt_install, find_program

ADVICE = "install Firefox (apt install firefox-esr)"
PORT = 9222
READY_S = 60.0
COMMAND_S = 60.0
PREFERENCES: dict[str, object] = {
    # Sound and picture without devices, and no question before.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    # A page of plain HTTP may use them.
    "media.devices.insecure.enabled": True,
    "media.getusermedia.insecure.enabled": True,
    "media.autoplay.default": 0,
    # Addresses, not names of multicast DNS, which nobody answers here.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # It asks nobody outside for anything.
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


@cache
def program() -> str:
    """Raises Missing."""
    found = find_program("firefox-esr") or find_program("firefox")
    if found is None and apt_install("firefox-esr"):
        found = find_program("firefox-esr")
    if found is None:
        raise Missing(ADVICE)
    return found


class FirefoxPage:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.version = self._ask("session.new", capabilities={})["capabilities"]["browserVersion"]
        self._context = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def goto(self, address: str) -> None:
        self._ask("browsingContext.navigate", context=self._context, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited, as JSON; RuntimeError with what the page threw."""
        answer = self._ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})) ?? 'null')()",
            target={"context": self._context}, awaitPromise=True, userActivation=True,
        )  # fmt: skip
        if answer["type"] != "success":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def _ask(self, method: str, **parameters: object) -> Any:
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(command))
        give_up = time.monotonic() + COMMAND_S
        while True:
            told = json.loads(self._connection.recv(timeout=give_up - time.monotonic()))
            if told.get("id") != self._number:
                continue
            if told["type"] == "error":
                raise RuntimeError(f"{method}: {told['message']}")
            return told["result"]


@contextmanager
def firefox(
    machine: Machine, folder: Path, *, ca: Path, hosts: Mapping[str, str]
) -> Iterator[FirefoxPage]:
    """Its tab, in a browser that runs on that machine, believes that CA and knows those names."""
    profile = folder / "firefox"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    believe(ca, profile)
    browser = Process(
        "firefox",
        [
            str(machine.wrapped(program(), folder, hosts)), "--headless", "--no-remote",
            "--profile", str(profile), "--remote-debugging-port", str(PORT), "about:blank",
        ],
        folder,
        env={"HOME": str(profile)},
    )  # fmt: skip
    try:
        machine.does(lambda: browser.start(_listens, within_s=READY_S))
        connected = machine.does(lambda: socket.create_connection(("127.0.0.1", PORT), timeout=10))
        with connect(
            f"ws://127.0.0.1:{PORT}/session", sock=connected, max_size=None, ping_interval=None
        ) as connection:
            yield FirefoxPage(connection)
    finally:
        browser.stop()


def _listens() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=1):
            return True
    except OSError:
        return False


def believe(ca: Path, database: Path) -> None:
    """Puts the CA among those that a browser with this NSS database trusts. Raises Missing."""
    if shutil.which("certutil") is None and not apt_install("libnss3-tools"):
        raise Missing("install certutil (apt install libnss3-tools)")
    database.mkdir(parents=True, exist_ok=True)
    name = f"sql:{database}"
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "test", "-i", str(ca)]):
        subprocess.run(["certutil", "-d", name, *arguments], check=True, capture_output=True)
