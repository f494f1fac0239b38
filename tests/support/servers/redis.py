"""Redis for tests: one server with a password, the same behind TLS, a Cluster of three primaries
with a replica each, and a primary with a replica that three Sentinels watch.

`HUBBUB_TEST_REDIS=redis://:password@host:port` names one that runs already, for what does no harm
to it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from server.kernel.config import Redis as Settings
from tests.support.servers.base import (
    Missing,
    Process,
    apt_install,
    find_program,
    free_port,
)

_Made = TypeVar("_Made", "Server", "Cluster", "Watched")

PASSWORD = "correct-horse"
READY_S = 10.0
FORMED_S = 30.0
HOST = "127.0.0.1"


@cache
def program() -> str:
    """Raises Missing."""
    found = find_program("redis-server")
    if found is None and apt_install("redis-server", "redis-tools"):
        found = find_program("redis-server")
    if found is None:
        raise Missing("install redis-server 7 (apt install redis-server)")
    return found


class Server:
    """One redis-server on a port of its own that it keeps from start to start. Nothing is saved:
    a kill forgets all.
    """

    def __init__(
        self, folder: Path, name: str, *options: str, tls: Certificates | None = None
    ) -> None:
        self.folder, self.tls = folder, tls
        self.port = free_port(HOST)
        ports = ["--port", "0", "--tls-port", str(self.port)] if tls else ["--port", str(self.port)]
        own = folder / name
        own.mkdir()
        self.process = Process(
            name,
            [
                program(), *ports, "--bind", HOST, "--save", "", "--appendonly", "no",
                "--dir", str(own), "--requirepass", PASSWORD, "--masterauth", PASSWORD,
                *(tls.options() if tls else ()), *options,
            ],
            folder,
        )  # fmt: skip

    @property
    def settings(self) -> Settings:
        tls = {"tls": "verify", "ca_file": str(self.tls.ca)} if self.tls else {}
        return Settings(host=HOST, port=self.port, password=PASSWORD, **tls)  # type: ignore[arg-type]

    def start(self) -> None:
        self.process.start(lambda: self.ask("PING") == "PONG", within_s=READY_S)

    def restart(self) -> None:
        self.process.kill()
        self.start()

    def ask(self, *command: str) -> str:
        """What redis-cli prints, "" while the server does not answer."""
        tls = ["--tls", "--cacert", str(self.tls.ca)] if self.tls else []
        return _cli(self.port, *tls, *command)

    def flush_all(self) -> None:
        assert self.ask("FLUSHALL") == "OK"

    def stop(self) -> None:
        self.process.stop()


class Certificates:
    """A CA of our own and a certificate, for the loopback if nothing else is said, made by the
    openssl program. `names`: as openssl writes them, "IP:..." and "DNS:...".
    """

    def __init__(
        self, folder: Path, names: Sequence[str] = (f"IP:{HOST}", "DNS:localhost")
    ) -> None:
        self.ca, self.cert, self.key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        ca_key = folder / "ca-key.pem"
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        _openssl(*new, "-days", "2", "-subj", "/CN=test CA", "-keyout", ca_key, "-out", self.ca)
        _openssl(
            *new, "-days", "2", "-subj", "/CN=redis", "-CA", self.ca, "-CAkey", ca_key,
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", f"subjectAltName={','.join(names)}",
            "-keyout", self.key, "-out", self.cert,
        )  # fmt: skip

    def options(self) -> list[str]:
        return [
            "--tls-cert-file", str(self.cert), "--tls-key-file", str(self.key),
            "--tls-ca-cert-file", str(self.ca), "--tls-auth-clients", "no",
        ]  # fmt: skip


class Cluster:
    """Three primaries, a replica each."""

    def __init__(self, folder: Path, *, tls: Certificates | None = None) -> None:
        encrypted = ["--tls-cluster", "yes", "--tls-replication", "yes"] if tls else []
        self.servers = [
            Server(
                folder, f"node{i}", "--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
                "--repl-diskless-sync-delay", "0", "--cluster-port", str(free_port(HOST)),
                *encrypted, tls=tls,
            )
            for i in range(6)
        ]  # fmt: skip

    @property
    def settings(self) -> Settings:
        return msgspec.structs.replace(self.servers[0].settings, cluster=True)

    def start(self) -> None:
        for server in self.servers:
            server.start()
        self.servers[0].ask(
            "--cluster", "create",
            *(f"{HOST}:{server.port}" for server in self.servers),
            "--cluster-replicas", "1", "--cluster-yes",
        )  # fmt: skip
        within(FORMED_S, lambda: all(self._formed(server) for server in self.servers))

    def primaries(self) -> list[Server]:
        return [s for s in self.servers if s.process.running and "role:master" in _role(s)]

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def _formed(self, server: Server) -> bool:
        healthy = "cluster_state:ok" in server.ask("CLUSTER", "INFO")
        return healthy and ("role:master" in _role(server) or _synced(server))


class Sentinel(Server):
    """Watches a primary; two of them decide."""

    def __init__(self, folder: Path, name: str, primary: Server, *, watch: str) -> None:
        self.folder, self.tls = folder, primary.tls
        self.port = free_port(HOST)
        lines = [f"{'tls-port' if self.tls else 'port'} {self.port}", f"bind {HOST}"]
        if self.tls:
            given = [*self.tls.options(), "--tls-replication", "yes", "--port", "0"]
            lines += [
                f"{option.removeprefix('--')} {value}"
                for option, value in zip(given[::2], given[1::2], strict=True)
            ]
        lines += [
            f"dir {folder}", f"requirepass {PASSWORD}",
            f"sentinel monitor {watch} {HOST} {primary.port} 2",
            f"sentinel auth-pass {watch} {PASSWORD}",
            f"sentinel down-after-milliseconds {watch} 1000",
            f"sentinel failover-timeout {watch} 5000",
        ]  # fmt: skip
        path = folder / f"{name}.conf"
        path.write_text("\n".join(lines) + "\n")
        self.process = Process(name, [program(), str(path), "--sentinel"], folder)


class Watched:
    """A primary and a replica, and three Sentinels with a password."""

    NAME = "chat"

    def __init__(self, folder: Path, *, tls: Certificates | None = None) -> None:
        options = ["--repl-diskless-sync-delay", "0"]
        if tls:
            options += ["--tls-replication", "yes"]
        self.primary = Server(folder, "primary", *options, tls=tls)
        following = f"{HOST} {self.primary.port}"
        self.replica = Server(folder, "replica", "--replicaof", following, *options, tls=tls)
        self.sentinels = [
            Sentinel(folder, f"sentinel{i}", self.primary, watch=self.NAME) for i in range(3)
        ]

    @property
    def settings(self) -> Settings:
        return msgspec.structs.replace(
            self.primary.settings,
            host="unused",
            sentinels=tuple(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels),
            sentinel_name=self.NAME,
            sentinel_password=PASSWORD,
        )

    def start(self) -> None:
        self.primary.start()
        self.replica.start()
        within(READY_S, lambda: _synced(self.replica))
        for sentinel in self.sentinels:
            sentinel.start()
        within(FORMED_S, self._agreed)

    def servers(self) -> list[Server]:
        return [self.primary, self.replica]

    def current(self) -> Server:
        """The primary that the Sentinels name."""
        named = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
        return next(s for s in self.servers() if str(s.port) in named.split())

    def fail_over(self) -> None:
        """As an operator does: both servers live on."""
        assert self.sentinels[0].ask("SENTINEL", "FAILOVER", self.NAME) == "OK"

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers()):
            server.stop()

    def _agreed(self) -> bool:
        """All see two others and a replica: only then a failover can be voted."""
        return all(self._sees_all(sentinel) for sentinel in self.sentinels)

    def _sees_all(self, sentinel: Sentinel) -> bool:
        state = sentinel.ask("SENTINEL", "MASTER", self.NAME).split()
        seen = [_after(state, name) for name in ("num-other-sentinels", "num-slaves", "flags")]
        replicas = sentinel.ask("SENTINEL", "REPLICAS", self.NAME)
        return seen == ["2", "1", "master"] and "s_down" not in replicas


@cache
def plain() -> Server:
    """Each of these starts once in a run and stops at its end. All raise Missing."""
    server = Server(_folder("redis"), "redis")
    return _started(server)


@cache
def plain_tls() -> Server:
    folder = _folder("redis-tls")
    server = Server(folder, "redis", tls=Certificates(folder))
    return _started(server)


@cache
def cluster() -> Cluster:
    made = Cluster(_folder("redis-cluster"))
    return _started(made)


@cache
def watched() -> Watched:
    made = Watched(_folder("redis-sentinel"))
    return _started(made)


def settings(kind: str = "redis") -> Settings:
    """How to reach a server of that kind: redis, redis-tls, redis-cluster, redis-sentinel."""
    given = os.environ.get("HUBBUB_TEST_REDIS")
    if kind == "redis" and given:
        url = urlsplit(given)
        return Settings(
            host=url.hostname or HOST, port=url.port or 6379, user=url.username or "",
            password=url.password or "",
        )  # fmt: skip
    kinds: dict[str, Callable[[], Server | Cluster | Watched]] = {
        "redis": plain, "redis-tls": plain_tls, "redis-cluster": cluster,
        "redis-sentinel": watched,
    }  # fmt: skip
    return kinds[kind]().settings


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """For servers only, outside a loop. Raises AssertionError when it does not come true."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "the servers did not get ready in time"
        time.sleep(0.1)


def _started(made: _Made) -> _Made:
    atexit.register(made.stop)
    made.start()
    return made


def _folder(name: str) -> Path:
    program()
    folder = Path(tempfile.mkdtemp(prefix=f"hubbub-{name}-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _cli(port: int, *arguments: str) -> str:
    cli = find_program("redis-cli", Path(program()).parent)
    if cli is None:
        raise Missing("install redis-cli (apt install redis-tools)")
    try:
        done = subprocess.run(
            [cli, "-h", HOST, "-p", str(port), "--no-auth-warning", *arguments],
            env={**os.environ, "REDISCLI_AUTH": PASSWORD},
            capture_output=True, text=True, timeout=FORMED_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _role(server: Server) -> str:
    return server.ask("INFO", "replication")


def _synced(server: Server) -> bool:
    return "master_link_status:up" in _role(server)


def _after(words: list[str], name: str) -> str:
    return words[words.index(name) + 1] if name in words else ""


def _openssl(*arguments: str | Path) -> None:
    if find_program("openssl") is None:
        raise Missing("install openssl")
    subprocess.run(
        ["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
