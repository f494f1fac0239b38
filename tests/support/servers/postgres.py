"""PostgreSQL for tests: one server for a test run, and a fresh database on it for each test."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec

from server.kernel.clock import Virtual
from server.kernel.config import Postgres
from storage.postgres import open_postgres
from tests.support.servers.base import (
    Missing,
    Process,
    apt_install,
    find_program,
    free_port,
    missing,
    server_folder,
)
from tests.support.servers.redis import Certificates

USER, PASSWORD = "app", "correct-horse"
ADVICE = "install the package postgresql, or set HUBBUB_TEST_POSTGRES to an address"
START_S = 60.0
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
_numbers = itertools.count(1)


def binaries() -> Path:
    """The folder of the server's programs. Raises Missing."""
    for attempt in range(2):
        homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        found = find_program("initdb", *homes)
        if found is not None:
            return Path(os.path.realpath(found)).parent
        if attempt == 0 and not apt_install("postgresql"):
            break
    raise Missing(ADVICE)


def _version(folder: Path) -> int:
    number = re.match(r"\d+", folder.parent.name)
    return int(number[0]) if number else 0


class PostgresServer:
    """A server of our own. It may be killed, frozen and started again."""

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool,
        options: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.folder, self.host, self.port = folder, host, port or free_port(host)
        self.ca_file: Path | None = None
        self._bin = binaries()
        self._owner = "postgres" if os.geteuid() == 0 else None
        settings = (
            f"port={self.port}", f"listen_addresses={host}", f"unix_socket_directories={folder}",
            *(() if durable else FAST), *options,
        )  # fmt: skip
        command = [str(self._bin / "postgres"), "-D", str(folder / "data")]
        for setting in settings:
            command += ["-c", setting]
        self.process = Process("postgres", command, folder, user=self._owner)

    def config(self, database: str = "postgres", **given: object) -> Postgres:
        fields = {
            "host": self.host, "port": self.port, "user": USER, "password": PASSWORD,
            "database": database,
        }  # fmt: skip
        return msgspec.convert({**fields, **given}, Postgres)

    def make(self) -> None:
        """initdb, with SCRAM passwords."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD, "utf-8")
        self._give(self.folder)
        self._give(secret)
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", USER, f"--pwfile={secret}",
            "-A", "scram-sha-256", "-N", "-E", "UTF8", "--locale=C.UTF-8",
        )  # fmt: skip

    def copy_from(self, primary: PostgresServer) -> None:
        """Instead of `make`: a standby of it."""
        self._give(self.folder)
        self._run(
            "pg_basebackup", "-h", primary.host, "-p", str(primary.port), "-U", USER, "-R",
            "-c", "fast", "-D", str(self.folder / "data"), env={"PGPASSWORD": PASSWORD},
        )  # fmt: skip

    def use_tls(self) -> None:
        """After `make`, before `start`."""
        made = Certificates(self.folder)
        self._give(made.key)
        made.cert.chmod(0o644)
        for setting in ("ssl=on", f"ssl_cert_file={made.cert}", f"ssl_key_file={made.key}"):
            self.process.command += ["-c", setting]
        self.ca_file = made.ca

    def _run(self, program: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        subprocess.run(
            [self._bin / program, *arguments], check=True, capture_output=True, user=self._owner,
            extra_groups=[] if self._owner else None, cwd=self.folder, timeout=120,
            env={**os.environ, **(env or {})},
        )  # fmt: skip

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            shutil.chown(path, self._owner, self._owner)

    def start(self) -> None:
        self.process.start(self._ready, within_s=START_S)

    def _ready(self) -> bool:
        line = [self._bin / "pg_isready", "-q", "-h", self.host, "-p", str(self.port)]
        return subprocess.run(line, check=False).returncode == 0

    def kill(self) -> None:
        """kill -9, the server and every process it made."""
        children = self._children()
        self.process.kill()
        _signal(children, signal.SIGKILL)
        give_up = time.monotonic() + 10
        while any(_alive(pid) for pid in children) and time.monotonic() < give_up:
            time.sleep(0.01)

    def freeze(self) -> None:
        self.process.freeze()
        _signal(self._children(), signal.SIGSTOP)

    def thaw(self) -> None:
        _signal(self._children(), signal.SIGCONT)
        self.process.thaw()

    def stop(self) -> None:
        """Fast: connections are cut, data is flushed."""
        if self.process.running:
            self.thaw()
            self.process.signal(signal.SIGINT)
        self.process.stop()

    def cpu_s(self) -> float:
        """Seconds of CPU of the server and all its processes, ended ones too."""
        ticks = 0
        for pid in (self.process.pid, *self._children()):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ended = fields[13:15] if pid == self.process.pid else []
            ticks += sum(map(int, (*fields[11:13], *ended)))
        return ticks / os.sysconf("SC_CLK_TCK")

    def _children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def postgres_server(
    *, durable: bool = False, tls: bool = False, options: tuple[str, ...] = ()
) -> Iterator[PostgresServer]:
    """A server of the test's own; `durable`: with fsync, as in production."""
    with server_folder("pg") as folder:
        try:
            server = PostgresServer(folder, durable=durable, options=options)
        except Missing as error:
            missing("PostgreSQL", str(error))
            raise
        server.make()
        if tls:
            server.use_tls()
        server.start()
        try:
            yield server
        finally:
            server.stop()


_shared: Postgres | None = None
_stack = ExitStack()
atexit.register(_stack.close)


def shared_postgres() -> Postgres:
    """How to reach the test run's server: the given one, or one of its own until the run ends."""
    global _shared
    if _shared is None:
        given = os.environ.get("HUBBUB_TEST_POSTGRES")
        _shared = _given(given) if given else _stack.enter_context(postgres_server()).config()
    return _shared


def _given(address: str) -> Postgres:
    """postgresql://user:password@host:port/database, of a user who may make databases."""
    parts = urlsplit(address)
    return Postgres(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/") or "postgres",
    )


async def run_sql(config: Postgres, *statements: str) -> None:
    """As an operator would, on a connection of its own."""
    connection = await asyncpg.connect(
        host=config.host, port=config.port, user=config.user, password=config.password,
        database=config.database, timeout=10, ssl=False,
    )  # fmt: skip
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


_kept: dict[tuple[str, int, str], Postgres] = {}
"""Databases of a server that stay until the run ends, by what they are for."""


async def _keep(server: Postgres, purpose: str, source: str = "") -> Postgres:
    key = (server.host, server.port, purpose)
    if key not in _kept:
        name = f"hubbub_{purpose}_{os.getpid()}"
        create = f"CREATE DATABASE {name} {source}"
        await run_sql(server, f"DROP DATABASE IF EXISTS {name}", create)
        _kept[key] = msgspec.structs.replace(server, database=name)
        if os.environ.get("HUBBUB_TEST_POSTGRES"):  # a server that outlives the run
            drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
            atexit.register(lambda: asyncio.run(run_sql(server, drop)))
    return _kept[key]


async def _template(server: Postgres) -> str:
    """A database with all migrations done, to be copied."""
    config = await _keep(server, "template")
    await (await open_postgres(config, clock=Virtual())).close()
    return config.database


EMPTY = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'hubbub_schema' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$"""


async def empty_database() -> Postgres:
    """One database of the run, with the tables and no rows: a copy takes 700 ms, this 10."""
    server = shared_postgres()
    config = await _keep(server, "emptied")
    await (await open_postgres(config, clock=Virtual())).close()
    await run_sql(config, EMPTY)
    return config


@asynccontextmanager
async def fresh_database(
    server: Postgres | None = None, *, migrated: bool = True, **given: object
) -> AsyncIterator[Postgres]:
    """A database of the test's own, dropped at the end. `given`: other fields of the config."""
    server = shared_postgres() if server is None else server
    name = f"hubbub_test_{os.getpid()}_{next(_numbers)}"
    template = f"TEMPLATE {await _template(server)}" if migrated else ""
    await run_sql(server, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} {template}")
    try:
        yield msgspec.structs.replace(server, database=name, **given)
    finally:
        await run_sql(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
