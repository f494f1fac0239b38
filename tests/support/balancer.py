"""haproxy before the hubs: sticky by a cookie, and away from a hub that is not ready."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.support.servers.base import Missing, Process, accepts, apt_install, find_program

CONFIG = """global
    maxconn 4000
defaults
    mode http
    maxconn 4000
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch
    option forwardfor
    retries 3
frontend front
    bind 127.0.0.1:{port}
    default_backend hubs
backend hubs
    balance leastconn
    cookie hub insert indirect nocache
    option httpchk GET /readyz
    default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
"""


def haproxy(folder: Path, port: int, hubs: Sequence[tuple[str, int]]) -> Process:
    """Not started yet. Raises Missing."""
    program = find_program("haproxy", "/usr/sbin")
    if program is None and apt_install("haproxy"):
        program = find_program("haproxy", "/usr/sbin")
    if program is None:
        raise Missing("install the package haproxy")
    config = folder / "haproxy.cfg"
    lines = [f"    server {name} 127.0.0.1:{at} cookie {name}\n" for name, at in hubs]
    config.write_text(CONFIG.format(port=port) + "".join(lines), "utf-8")
    return Process("haproxy", [program, "-db", "-f", str(config)], folder)


def start(process: Process, port: int) -> None:
    process.start(lambda: accepts("127.0.0.1", port), within_s=10)
