"""What the configuration and the system say of relaying, before anything is tried."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from server.cli.doctor.findings import Finding, ok, warn
from server.kernel.config import Media

FEW_PORTS = 100
"""A device behind a strict NAT takes one, with IPv6 two, and a call has two devices."""
ROOMY_PORTS = 1_000
"""So many are enough though other programs' outgoing connections take some."""
BUFFER_BYTES = 1024 * 1024
"""A second of 8 Mbit/s. With less, packets are lost while the process does something else."""
ASKED_BYTES = 4 * 1024 * 1024
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def expected(media: Media) -> Iterator[Finding]:
    yield ports(media.relay_first_port, media.relay_last_port, ephemeral())
    yield buffers(granted_bytes())


def ports(first: int, last: int, taken: tuple[int, int]) -> Finding:
    """`taken`: the range that outgoing connections of all programs get theirs from."""
    name, count = "relay ports", last - first + 1
    seen = f"UDP {first} to {last}"
    if count < FEW_PORTS:
        advice = "Each device that needs the relay takes one: widen media.relay_first_port..last."
        return warn(name, f"{seen}, {count} in all", advice)
    shared = min(last, taken[1]) - max(first, taken[0]) + 1
    if shared > 0 and count < ROOMY_PORTS:
        advice = (
            f"Outgoing connections of this machine take theirs from {taken[0]} to {taken[1]}: move "
            "the range out of it, or reserve it (net.ipv4.ip_local_reserved_ports)."
        )
        return warn(name, f"{seen}, {shared} of {count} shared with other programs", advice)
    return ok(name, f"{seen}, to be open in the firewall")


def ephemeral() -> tuple[int, int]:
    """(0, -1) where the system does not say."""
    try:
        first, last = EPHEMERAL.read_text().split()
    except OSError:
        return 0, -1
    return int(first), int(last)


def buffers(granted: int) -> Finding:
    name, seen = "receive buffer", f"{granted // 1024} KiB for each UDP socket"
    if granted >= BUFFER_BYTES:
        return ok(name, seen)
    advice = (
        f"Bursts are lost when calls are many: sysctl -w net.core.rmem_max={ASKED_BYTES} "
        "(and in /etc/sysctl.d)."
    )
    return warn(name, seen, advice)


def granted_bytes() -> int:
    """Of what we ask for, as the media process does; the kernel tells twice what one may use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ASKED_BYTES)
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
