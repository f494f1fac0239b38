"""Folder, disk, port, clock and limits of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from hubbub import Client
from hubbub.errors import HubbubError

from server.cli.doctor.findings import Finding, ok, wrong
from server.kernel.config import Config

DISK_LOW_BYTES = 1024**3
YEAR_2025_MS = 1_735_689_600_000
FILES = 4_096
HELLO_S = 2.0


def folder(chosen: Path) -> Finding:
    near = _existing(chosen)
    try:
        with tempfile.TemporaryFile(dir=near) as probe:
            probe.write(b"x")
            os.fsync(probe.fileno())
    except OSError as error:
        advice = f"Give this user the right to write to {near}, or choose another by --data."
        return wrong("data folder", f"{chosen}: {error.strerror}", advice)
    return ok("data folder", f"{chosen} can be written")


def disk(chosen: Path) -> Finding:
    free = shutil.disk_usage(_existing(chosen)).free
    seen = f"{free / 1024**3:.1f} GiB free"
    if free >= DISK_LOW_BYTES:
        return ok("disk", seen)
    return wrong("disk", seen, "Make room: below 1 GiB a busy server fills the disk within days.")


async def is_running(config: Config) -> bool:
    """Whether a Hubbub answers on the configured HTTP port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.server.host, config.server.host)
    shown = f"[{host}]" if ":" in host else host
    try:
        async with asyncio.timeout(HELLO_S), Client(f"http://{shown}:{config.server.port}") as one:
            await one.server_info()
    except (HubbubError, OSError, TimeoutError):
        return False
    return True


def port(config: Config, *, runs: bool) -> Finding:
    host, number = config.server.host, config.server.port
    if runs:
        return ok("port", f"Hubbub runs on {host}:{number}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            advice = "Stop the program that has it, or use another --port."
            return wrong("port", f"{host}:{number}: {error.strerror}", advice)
    return ok("port", f"{host}:{number} is free")


def clock() -> Finding:
    now = time.time_ns() // 1_000_000
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now / 1000))
    if now > YEAR_2025_MS:
        return ok("clock", seen)
    return wrong("clock", seen, "Set the machine's clock (NTP).")


def open_files() -> Finding:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= FILES or soft < 0:
        return ok("open files", f"limit {soft}")
    advice = "Each connection needs one: ulimit -n 65536, or LimitNOFILE= in the unit."
    return wrong("open files", f"limit {soft}", advice)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
