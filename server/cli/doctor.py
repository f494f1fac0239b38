"""`hubbub doctor`: looks at folder, disk, port, clock and the server's own round trips."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from hubbub import Client
from hubbub.errors import HubbubError

from server.cli.terms import say
from server.compose import open_store, running_server
from server.compose.cluster import new_node_id
from server.compose.stores import open_files, open_shared
from server.kernel.clock import System
from server.kernel.config import Bus as BusSettings
from server.kernel.config import Cluster, Config
from server.kernel.config import Store as KeptIn
from server.kernel.errors import AppError
from server.kernel.logs import configure_logs
from storage.api import Check, Files, Shared, Store

DISK_LOW_BYTES = 1024**3
YEAR_2025_MS = 1_735_689_600_000
ROUND_TRIP_S = 15.0


@dataclass(frozen=True)
class Finding:
    """`advice` says what to do when it is not ok."""

    name: str
    ok: bool
    seen: str
    advice: str = ""


def examine(config: Config) -> int:
    """Print the findings; the exit code is 1 when something is wrong."""
    configure_logs("error", config.logging.format)
    wrong = 0
    for finding in (*_static(config), *_round_trips(config)):
        say(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.name}: {finding.seen}")
        if not finding.ok:
            wrong += 1
            say(f"       {finding.advice}")
    say("Nothing is wrong." if not wrong else f"{wrong} to look at.")
    return 1 if wrong else 0


def _static(config: Config) -> Iterator[Finding]:
    yield Finding("configuration", True, f"read; registration is {config.registration}")
    if config.clustered:
        yield from asyncio.run(_servers(config))
    else:
        yield _folder(Path(config.server.data))
        yield _disk(Path(config.server.data))
    yield _port(config.server.host, config.server.port)
    yield _clock()
    yield _files()


async def _servers(config: Config) -> list[Finding]:
    """Each server behind the configured shape: reached, and able to write."""
    findings: list[Finding] = []
    opened: list[Store | Shared | Files] = []
    node_id, clock = new_node_id(), System()
    for name, opening in (
        (config.store.log, open_store(config)),
        ("redis", open_shared(config, node_id, clock)),
        (config.store.files, open_files(config, clock)),
    ):
        try:
            part = await opening
        except AppError as error:
            findings.append(Finding(name, False, error.text, f"Look at [{name}] and its server."))
            continue
        if part is not None:
            opened.append(part)
    for part in opened:
        findings += [await _answer(name, check) for name, check in part.checks.items()]
        await part.close()
    return findings


async def _answer(name: str, check: Check) -> Finding:
    started = time.monotonic()
    try:
        await check()
    except AppError as error:
        return Finding(name, False, error.text, f"Look at [{name}] and its server.")
    return Finding(name, True, f"answers in {(time.monotonic() - started) * 1000:.0f} ms")


def _folder(folder: Path) -> Finding:
    near = folder
    while not near.exists():
        near = near.parent
    try:
        with tempfile.TemporaryFile(dir=near) as probe:
            probe.write(b"x")
            os.fsync(probe.fileno())
    except OSError as error:
        advice = f"Give this user the right to write to {near}, or choose another by --data."
        return Finding("data folder", False, f"{folder}: {error.strerror}", advice)
    return Finding("data folder", True, f"{folder} can be written")


def _disk(folder: Path) -> Finding:
    near = folder
    while not near.exists():
        near = near.parent
    free = shutil.disk_usage(near).free
    advice = "Make room: below 1 GiB a busy server fills the disk within days."
    return Finding("disk", free >= DISK_LOW_BYTES, f"{free / 1024**3:.1f} GiB free", advice)


def _port(host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = "If that is Hubbub itself, all is well; else stop it or use another --port."
            return Finding("port", False, f"{host}:{port}: {error.strerror}", advice)
    return Finding("port", True, f"{host}:{port} is free")


def _clock() -> Finding:
    now = time.time_ns() // 1_000_000
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now / 1000))
    return Finding("clock", now > YEAR_2025_MS, seen, "Set the machine's clock (NTP).")


def _files() -> Finding:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    advice = "Each connection needs one: ulimit -n 65536, or LimitNOFILE= in the unit."
    return Finding("open files", soft >= 4096 or soft < 0, f"limit {soft}", advice)


def _round_trips(config: Config) -> Iterator[Finding]:
    """In a server of its own, on a free port and an empty folder: the real one is left alone."""
    for transport in ("websocket", "polling"):
        started = time.monotonic()
        try:
            asyncio.run(asyncio.wait_for(_round_trip(config, transport), ROUND_TRIP_S))
        except (HubbubError, AppError, OSError, TimeoutError) as error:
            advice = "This installation cannot carry messages: run with HUBBUB_LOGGING__LEVEL=debug"
            yield Finding(f"{transport} round trip", False, repr(error), advice)
        else:
            seen = f"log in, send, hear: {(time.monotonic() - started) * 1000:.0f} ms with start"
            yield Finding(f"{transport} round trip", True, seen)


async def _round_trip(config: Config, transport: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = msgspec.structs.replace(
            config.server, host="127.0.0.1", port=0, data=folder, public_url=""
        )
        alone = msgspec.structs.replace(
            config, server=place, store=KeptIn(), cluster=Cluster(), bus=BusSettings()
        )
        async with running_server(alone) as server:
            operator = server.accounts.operator
            password = secrets.token_urlsafe(16)
            await operator.create_user("doctor", password)
            kind: Literal["websocket", "polling"] = (
                "websocket" if transport == "websocket" else "polling"
            )
            async with Client(server.url, transport=kind) as client:
                await client.log_in("doctor", password)
                await client.connect()
                room = await client.create_room(name="Examination")
                sent = await room.send("say aah")
                assert (await room.history()).head >= sent.seq
