"""Finds or installs every server that the tests want, the slow ones first: `python -m
tests.support.servers.prepare`. Runs beside the first tests; whoever needs one waits for its lock.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from tests.support.servers import cassandra, minio, postgres, redis
from tests.support.servers.base import Missing, apt_install

PACKAGES = {
    "chromium": "chromium", "haproxy": "haproxy", "redis-cli": "redis-tools",
    "faketime": "faketime", "openssl": "openssl", "ip": "iproute2", "iptables": "iptables",
    "turnutils_uclient": "coturn", "firefox-esr": "firefox-esr", "certutil": "libnss3-tools",
}  # fmt: skip


def main() -> int:
    """Exit code 1 when something is missing; it has been named by then."""
    wanted: list[tuple[str, Callable[[], object]]] = [
        ("packages", _packages),
        ("Redis", redis.program),
        ("PostgreSQL", postgres.binaries),
        ("Cassandra", cassandra.prepare),
        ("MinIO", minio.prepare),
    ]
    missing = 0
    for name, find in wanted:
        started = time.monotonic()
        try:
            find()
        except Missing as error:
            missing += 1
            print(f"{name} is missing: {error}", flush=True)
        else:
            print(f"{name}: there after {time.monotonic() - started:.1f} s", flush=True)
    return 1 if missing else 0


def _packages() -> None:
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing and not apt_install(*missing):
        raise Missing(f"install {' '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main())
