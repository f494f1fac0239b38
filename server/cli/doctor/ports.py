"""Which ports the media process gets for the examination, and who has the configured ones."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field

import msgspec

from media.planes.settings import PlaneSettings, local_hosts
from server.cli.doctor.findings import Finding, warn, wrong

NAME = "media port"
_KINDS = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}


@dataclass(frozen=True)
class Choice:
    """`settings`: None where no media process can run."""

    settings: PlaneSettings | None
    findings: list[Finding] = field(default_factory=list)
    running: str = ""
    """Which of the configured ports the running Hubbub has."""


def choose(settings: PlaneSettings, *, runs: bool) -> Choice:
    """`runs`: Hubbub itself does, on the configured HTTP port."""
    hosts = local_hosts(settings.hosts)
    if not hosts:
        advice = "Give the machine an address, or name one in media.hosts."
        return Choice(None, [wrong(NAME, "no address to listen on", advice)])
    for kind, port in (("UDP", settings.port), ("TCP", settings.tcp_port)):
        for host in hosts:
            error = bind_error(host, port, kind) if port else None
            if error is None:
                continue
            where = f"{kind} {shown(host, port or 0)}"
            if error.errno == errno.EADDRINUSE:
                return _taken(settings, where, runs=runs)
            return Choice(None, [wrong(NAME, f"{where}: {error.strerror}", _advice(error, host))])
    return Choice(settings)


def bind_error(host: str, port: int, kind: str = "UDP") -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, _KINDS[kind]) as probe:
        if kind == "TCP":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _taken(settings: PlaneSettings, where: str, *, runs: bool) -> Choice:
    """The examination goes on with free ports, whoever has the configured ones."""
    elsewhere = msgspec.structs.replace(
        settings, port=0, tcp_port=None if settings.tcp_port is None else 0, or_any=True
    )
    if runs:
        return Choice(elsewhere, running=where)
    if settings.or_any:
        advice = (
            "Hubbub takes any free port then, and no firewall rule will fit: stop that program, "
            "or set media.port and media.tcp_port."
        )
        return Choice(elsewhere, [warn(NAME, f"{where} is in use by another program", advice)])
    advice = "Stop that program, or choose other numbers in media.port and media.tcp_port."
    return Choice(None, [wrong(NAME, f"{where} is in use by another program", advice)])


def _advice(error: OSError, host: str) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{host} is no address of this machine. media.hosts are its own addresses; those by "
            "which the world reaches it go into media.public_hosts."
        )
    if error.errno == errno.EACCES:
        return "Ports below 1024 are for root: choose a higher number."
    return "Look at media.hosts, media.port and media.tcp_port."
