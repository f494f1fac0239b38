"""Cassandra for tests: one node, or three on 127.0.0.1, .2 and .3; recipe A.

The jars come by Maven into the cache; `HUBBUB_TEST_CASSANDRA` (host or host:port) names a server
that is there already.
"""

from __future__ import annotations

import atexit
import io
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.support.servers.base import (
    CACHE,
    MAY_INSTALL,
    Missing,
    Process,
    apt_install,
    find_program,
    free_port,
    installing,
    missing,
    server_folder,
)

VERSION = "5.0.6"
JARS = CACHE / f"cassandra-{VERSION}"
ADVICE = "install Java 17 and Maven, or set HUBBUB_TEST_CASSANDRA to host:port"
START_S = 120.0
Sync = Literal["periodic", "group", "batch"]

SYNC_LINES: Mapping[Sync, str] = {
    "periodic": "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms",
    "group": "commitlog_sync: group\ncommitlog_sync_group_window: 10ms",
    "batch": "commitlog_sync: batch",
}

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>cassandra</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId>
<version>{version}</version></dependency></dependencies></project>"""

YAML = """cluster_name: tests
num_tokens: 4
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
{sync}
commitlog_directory: {folder}/commitlog
hints_directory: {folder}/hints
saved_caches_directory: {folder}/caches
cdc_raw_directory: {folder}/cdc
data_file_directories: [{folder}/data]
endpoint_snitch: SimpleSnitch
listen_address: {host}
rpc_address: {host}
storage_port: {storage_port}
native_transport_port: {port}
start_native_transport: true
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "127.0.0.1:{storage_port}"}}]
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
auto_bootstrap: false
auto_snapshot: false
paxos_variant: v2
commitlog_segment_size: 4MiB
commitlog_total_space: 64MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
concurrent_reads: 16
concurrent_writes: 16
"""

LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %p %c - %m%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="out"/></root></configuration>"""

EXPORTS = """java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch
java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry
java.rmi/sun.rmi.server java.sql/java.sql"""
OPENS = """java.base/java.lang java.base/java.lang.module java.base/java.io java.base/java.nio
java.base/java.net java.base/java.util java.base/java.util.concurrent
java.base/java.util.concurrent.atomic java.base/sun.nio.ch java.base/jdk.internal.loader
java.base/jdk.internal.ref java.base/jdk.internal.reflect java.base/jdk.internal.math
java.base/jdk.internal.module java.base/jdk.internal.util.jar
jdk.management/com.sun.management.internal"""


class Node:
    """One node and its process; `start` it again after `process.kill()`, on the same data."""

    def __init__(
        self, host: str, folder: Path, ports: tuple[int, int], *,
        sync: Sync, heap_mb: int, alone: bool, env: Mapping[str, str], yaml: str = "",
    ) -> None:  # fmt: skip
        self.host = host
        self.port, storage_port = ports
        self.folder = folder
        conf = folder / "conf"
        conf.mkdir(parents=True)
        settings = YAML.format(
            host=host, folder=folder, port=self.port, storage_port=storage_port,
            sync=SYNC_LINES[sync],
        )  # fmt: skip
        (conf / "cassandra.yaml").write_text(settings + yaml, "utf-8")
        (conf / "logback.xml").write_text(LOGBACK, "utf-8")
        self.process = Process(
            f"cassandra-{host}", _command(folder, conf, heap_mb, alone), folder, env=env
        )

    def start(self, within_s: float = START_S) -> None:
        self.process.start(lambda: answers(self.host, self.port), within_s=within_s)

    def launch(self) -> None:
        """Start, and come back before it is ready."""
        self.process.start(lambda: True, within_s=1)


class Cassandra:
    """The nodes of a test's own cluster."""

    def __init__(self, nodes: Sequence[Node], port: int) -> None:
        self.nodes = nodes
        self.port = port

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(node.host for node in self.nodes)

    def cpu_s(self) -> float:
        """CPU seconds that the running nodes have used so far."""
        ticks = 0
        for node in self.nodes:
            if node.process.running:
                stat = Path(f"/proc/{node.process.pid}/stat").read_text()
                ticks += sum(int(field) for field in stat.rsplit(")", 1)[1].split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        for node in self.nodes:
            node.process.kill()


@contextmanager
def cassandra(
    nodes: Literal[1, 3] = 1,
    *,
    sync: Sync = "periodic",
    heap_mb: int = 320,
    env: Mapping[int, Mapping[str, str]] | None = None,
    yaml: Mapping[int, str] | None = None,
) -> Iterator[Cassandra]:
    """Start nodes, wait until they serve QUORUM, stop them at the end.

    Args:
        env: more environment for single nodes by their index, as libfaketime wants it.
        yaml: more lines of their cassandra.yaml, likewise.
    Raises:
        Missing: no Java, or no jars and installing is not allowed.
    """
    _require()
    ports = _shared_port(nodes), _shared_port(nodes)
    with server_folder("cas") as folder:
        built = [
            Node(
                f"127.0.0.{i + 1}", folder / str(i + 1), ports, sync=sync, heap_mb=heap_mb,
                alone=nodes == 1, env=(env or {}).get(i, {}), yaml=(yaml or {}).get(i, ""),
            )
            for i in range(nodes)
        ]  # fmt: skip
        cluster = Cassandra(built, ports[0])
        try:
            built[0].start()
            for node in built[1:]:
                node.launch()
            wait_until(lambda: all(answers(node.host, node.port) for node in built), START_S)
            if nodes > 1:
                wait_until(lambda: _all_see_all(cluster), START_S)
            yield cluster
        finally:
            cluster.stop()


class SharedCassandra:
    """One node for the whole test session, started when it is first asked for."""

    _address: tuple[str, int] | None = None

    @classmethod
    def address(cls) -> tuple[str, int]:
        """Skips the test, or fails it under CI=true, where there is no Cassandra."""
        if cls._address is None:
            cls._address = cls._given() or cls._started()
        return cls._address

    @staticmethod
    def _given() -> tuple[str, int] | None:
        given = os.environ.get("HUBBUB_TEST_CASSANDRA")
        if not given:
            return None
        host, _, port = given.partition(":")
        return host, int(port or 9042)

    @staticmethod
    def _started() -> tuple[str, int]:
        context = cassandra()
        try:
            cluster = context.__enter__()
        except Missing as error:
            missing("Cassandra", str(error))
            raise
        atexit.register(context.__exit__, None, None, None)
        return cluster.hosts[0], cluster.port


def wait_until(ready: Callable[[], bool], within_s: float) -> None:
    give_up = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > give_up:
            raise RuntimeError("Cassandra did not get ready")
        time.sleep(0.1)


def prepare() -> None:
    """Java and the jars, before somebody needs them. Raises Missing."""
    _require()


def _require() -> None:
    if find_program("java") is None:
        apt_install("openjdk-17-jre-headless") or apt_install("default-jre-headless")
    if find_program("java") is None:
        raise Missing(ADVICE)
    if not (JARS / f"cassandra-all-{VERSION}.jar").exists():
        _install()


def _install() -> None:
    if not MAY_INSTALL:
        raise Missing(ADVICE)
    if find_program("mvn") is None and not apt_install("maven"):
        raise Missing(ADVICE)
    with installing(f"Cassandra {VERSION}"), server_folder("mvn") as folder:
        if (JARS / f"cassandra-all-{VERSION}.jar").exists():
            return
        (folder / "pom.xml").write_text(POM.format(version=VERSION), "utf-8")
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime",
             f"-DoutputDirectory={folder / 'jars'}"],
            cwd=folder, check=True, timeout=900,
        )  # fmt: skip
        shutil.copytree(folder / "jars", JARS, dirs_exist_ok=True)


def _command(folder: Path, conf: Path, heap_mb: int, alone: bool) -> list[str]:
    jamm = next(JARS.glob("jamm-*.jar"))
    return [
        "java", f"-javaagent:{jamm}", f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", "-Xss512k",
        "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=256m",
        "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true",
        "-Djava.net.preferIPv4Stack=true", f"-Djava.io.tmpdir={folder}",
        "-Dcassandra-foreground=yes", f"-Dcassandra.config=file://{conf}/cassandra.yaml",
        f"-Dcassandra.storagedir={folder}", f"-Dlogback.configurationFile=file://{conf}/logback.xml",
        f"-Dcassandra.jmx.local.port={free_port()}",
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        f"-Dcassandra.ring_delay_ms={1000 if alone else 2000}",
        "-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.consistent.rangemovement=false",
        *(f"--add-exports={package}=ALL-UNNAMED" for package in EXPORTS.split()),
        *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENS.split()),
        "-cp", f"{conf}:{JARS}/*", "org.apache.cassandra.service.CassandraDaemon",
    ]  # fmt: skip


def _shared_port(nodes: int) -> int:
    """Free on the addresses of all nodes."""
    for _ in range(50):
        port = free_port()
        try:
            for i in range(1, nodes):
                with socket.socket() as probe:
                    probe.bind((f"127.0.0.{i + 1}", port))
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free on all addresses")


READY = "hubbub_ready"


def _all_see_all(cluster: Cassandra) -> bool:
    """Each node can read from every other: consistency ALL through each of them."""
    first = cluster.nodes[0]
    keyspace = (
        f"CREATE KEYSPACE IF NOT EXISTS {READY} WITH replication = "
        f"{{'class': 'SimpleStrategy', 'replication_factor': {len(cluster.nodes)}}}"
    )
    table = f"CREATE TABLE IF NOT EXISTS {READY}.t (k int PRIMARY KEY)"
    made = all(ask(first.host, first.port, text) for text in (keyspace, table))
    query = f"SELECT * FROM {READY}.t WHERE k = 1"
    return made and all(ask(node.host, node.port, query, ALL) for node in cluster.nodes)


ONE, ALL = 1, 5
STARTUP, QUERY, ERROR, RESULT = 1, 7, 0, 8
ROWS = 2


def answers(host: str, port: int) -> bool:
    return ask(host, port, "SELECT key FROM system.local")


def ask(host: str, port: int, query: str, consistency: int = ONE) -> bool:
    """Whether the node carries out `query`."""
    try:
        rows_of(host, port, query, consistency)
    except (OSError, RuntimeError):
        return False
    return True


def rows_of(host: str, port: int, query: str, consistency: int = ONE) -> list[list[bytes]]:
    """The rows of the first page: bare frames of the native protocol, version 4; no driver, so
    that what a driver does is not among what a test relies on.

    Raises:
        OSError: no connection. RuntimeError: the node says no.
    """
    text = query.encode()
    options = b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0"
    body = struct.pack("!I", len(text)) + text + struct.pack("!HB", consistency, 0)
    with (
        socket.create_connection((host, port), timeout=10) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(_frame(STARTUP, options))
        _answer(stream)
        connection.sendall(_frame(QUERY, body))
        return _rows(io.BytesIO(_answer(stream)))


def _frame(opcode: int, body: bytes) -> bytes:
    return struct.pack("!BBhBI", 4, 0, 0, opcode, len(body)) + body


def _answer(stream: io.BufferedReader) -> bytes:
    head = stream.read(9)
    if len(head) < 9:
        raise ConnectionError("the node hung up")
    _, _, _, opcode, length = struct.unpack("!BBhBI", head)
    body = stream.read(length)
    if opcode == ERROR:
        raise RuntimeError(body[6:].decode("utf-8", "replace"))
    return body if opcode == RESULT else b""


def _rows(body: io.BytesIO) -> list[list[bytes]]:
    """Of a result of kind ROWS; [] of others. Column types are skipped: all here are simple."""
    if _int(body) != ROWS:
        return []
    flags, columns = _int(body), _int(body)
    if flags & 2:
        body.read(_int(body))
    if flags & 1:
        _string(body), _string(body)
    for _ in range(columns):
        _string(body)
        body.read(2)
    return [[body.read(max(0, _int(body))) for _ in range(columns)] for _ in range(_int(body))]


def _int(body: io.BytesIO) -> int:
    return int.from_bytes(body.read(4), "big", signed=True)


def _string(body: io.BytesIO) -> bytes:
    return body.read(int.from_bytes(body.read(2), "big"))
