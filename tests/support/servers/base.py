"""What all test servers share: the cache, installing, free ports, a process that surely ends."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

CACHE = Path(os.environ.get("HUBBUB_CACHE") or Path.home() / ".cache" / "hubbub")
"""Downloads and builds; outside the repository, kept from run to run."""
MAY_INSTALL = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
STOP_S = 10.0
FIRST_PORT = 16_000
CHANCE = random.SystemRandom()
"""The seed is every test's: two runs at once would ask for the same ports."""


class Missing(Exception):
    """The server is not here and may not be installed; the text says what to do."""


def missing(name: str, advice: str) -> None:
    """A named skip for a newcomer, a failure under CI=true."""
    text = f"{name} is missing: {advice}, or run with INSTALL=1"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


def find_program(name: str, *folders: str | Path) -> str | None:
    for folder in folders:
        path = Path(folder) / name
        if os.access(path, os.X_OK):
            return str(path)
    return shutil.which(name)


@contextmanager
def installing(what: str) -> Iterator[None]:
    """Only one process of this machine installs at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(f"installing {what} ...", flush=True)
        yield


def apt_install(*packages: str) -> bool:
    """As root on Debian, and only where installing is allowed. False: not possible here."""
    if not MAY_INSTALL or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with installing(" ".join(packages)):
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
        done = subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
            check=False, stdout=subprocess.DEVNULL, env=env, timeout=600,
        )  # fmt: skip
    return done.returncode == 0


def free_port(host: str = "127.0.0.1") -> int:
    """Free for TCP and UDP, and none of those that the system lends to whoever connects: a server
    that is down for a moment, among thousands of connections, finds its port again.
    """
    for _ in range(100):
        port = CHANCE.randrange(FIRST_PORT, _first_lent())
        if all(_binds(kind, host, port) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise RuntimeError("no port is free")


def _first_lent() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    except OSError:
        return 32_768
    return max(first, FIRST_PORT + 1_000)


def _binds(kind: socket.SocketKind, host: str, port: int) -> bool:
    with socket.socket(type=kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Process:
    """A server's process in a folder of its own, its output in `log`. `start` it again after
    `kill`; nothing it starts outlives `stop`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._env = {**os.environ, **(env or {})}
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Raises RuntimeError, with the end of its log, when it is not ready in time."""
        with self.log.open("ab") as out:
            self._process = self._popen(out)
        give_up = time.monotonic() + within_s
        while time.monotonic() < give_up:
            if not self.running:
                break
            if ready():
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {self.tail()}")

    def _popen(self, out: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command, cwd=self.folder, env=self._env, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, user=self._user,
            extra_groups=[] if self._user else None, start_new_session=True,
        )  # fmt: skip

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def freeze(self) -> None:
        """SIGSTOP, and wait until all of its threads have stopped."""
        self.signal(signal.SIGSTOP)
        give_up = time.monotonic() + STOP_S
        while not self._frozen() and time.monotonic() < give_up:
            time.sleep(0.005)

    def _frozen(self) -> bool:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/stat")
        states = [task.read_text().rsplit(")", 1)[1].split()[0] for task in tasks]
        return all(state in "TtZX" for state in states)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM (SIGCONT first), then SIGKILL to this one process."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.exists() else ""


@contextmanager
def server_folder(name: str) -> Iterator[Path]:
    """A folder that is removed at the end; short, since Unix socket paths are at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=f"hubbub-{name}-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
