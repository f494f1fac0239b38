"""Machines of their own within this one: Linux network namespaces. Root only.

A router stands between two homes. While it forwards they reach each other directly; while it does
not, only what runs on the router itself.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.servers.base import Missing

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")


@dataclass(frozen=True)
class Machine:
    """`address` and `address6` are in this namespace alone."""

    name: str
    address: str
    address6: str

    @property
    def path(self) -> Path:
        return Path("/run/netns") / self.name

    def does(self, work: Callable[[], T]) -> T:
        """Runs it in a thread that lives in the namespace: the sockets it opens and the processes
        it starts stay there.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def inside() -> None:
            try:
                self._enter()
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        namespace = os.open(self.path, os.O_RDONLY)
        try:
            if libc.setns(namespace, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
        finally:
            os.close(namespace)

    def wrapped(self, program: str, folder: Path, hosts: Mapping[str, str] | None = None) -> Path:
        """A script that runs the program in the namespace, with these names in its /etc/hosts."""
        known = {"localhost": "127.0.0.1", **(hosts or {})}
        names = folder / f"{self.name}-hosts"
        names.write_text("".join(f"{address} {name}\n" for name, address in known.items()))
        script = folder / f"{self.name}-{Path(program).name}"
        script.write_text(
            f"#!/bin/sh\nexec nsenter --net={self.path} unshare --mount "
            f'sh -c \'mount --bind {names} /etc/hosts && exec {program} "$@"\' sh "$@"\n'
        )
        script.chmod(0o755)
        return script


@dataclass(frozen=True)
class Street:
    router: Machine
    left: Machine
    right: Machine

    def forwards(self, allowed: bool) -> None:
        def write() -> None:
            for setting in FORWARDING:
                Path(setting).write_text("1" if allowed else "0")

        self.router.does(write)


@contextmanager
def street() -> Iterator[Street]:
    """Raises Missing without root or the programs that it takes."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nsenter", "unshare"))):
        raise Missing("run as root, with iproute2 and util-linux installed")
    pid = os.getpid()
    made = Street(
        Machine(f"hub{pid}r", "10.77.0.1", "fd77::1"),
        Machine(f"hub{pid}a", "10.77.1.2", "fd77:1::2"),
        Machine(f"hub{pid}b", "10.77.2.2", "fd77:2::2"),
    )
    try:
        for machine in (made.router, made.left, made.right):
            _ip("netns", "add", machine.name)
            _ip("-n", machine.name, "link", "set", "lo", "up")
        for address in (made.router.address + "/32", made.router.address6 + "/128"):
            _ip("-n", made.router.name, "address", "add", address, "dev", "lo")
        for number, home in enumerate((made.left, made.right), 1):
            _connect(made.router, home, number)
        yield made
    finally:
        for machine in (made.router, made.left, made.right):
            subprocess.run(["ip", "netns", "delete", machine.name], check=False)


def _connect(router: Machine, home: Machine, number: int) -> None:
    link = f"home{number}"
    _ip("link", "add", link, "netns", router.name, "type", "veth",
        "peer", "name", "eth0", "netns", home.name)  # fmt: skip
    ends = (
        (router, link, (f"10.77.{number}.1/24", f"fd77:{number}::1/64")),
        (home, "eth0", (f"{home.address}/24", f"{home.address6}/64")),
    )
    for machine, device, addresses in ends:
        for address in addresses:
            # Without duplicate address detection an IPv6 address is usable at once.
            nodad = ["nodad"] if ":" in address else []
            _ip("-n", machine.name, "address", "add", address, "dev", device, *nodad)
        _ip("-n", machine.name, "link", "set", device, "up")
    _ip("-n", home.name, "route", "add", "default", "via", f"10.77.{number}.1")
    _ip("-6", "-n", home.name, "route", "add", "default", "via", f"fd77:{number}::1")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
