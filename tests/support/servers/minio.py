"""A real MinIO. There is no package of it: Go builds it from the module, once for each machine.

`HUBBUB_TEST_MINIO=http://KEY:SECRET@host:port` names one that runs already.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from server.kernel.config import S3
from tests.support.servers.base import (
    CACHE,
    MAY_INSTALL,
    Missing,
    Process,
    find_program,
    free_port,
    installing,
    missing,
    server_folder,
)
from tests.support.servers.go import find_go
from tests.support.servers.redis import Certificates

VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
"""The last of the module's versions; a name like `latest` would build another one some day."""
BUILD_S = 1_800
BIN = CACHE / "bin"


def prepare() -> str:
    """The program's path. Builds it where that is allowed: 2 to 12 minutes on two cores, so begin
    early, in the background. Raises Missing.
    """
    found = find_program("minio", BIN)
    if found is None and MAY_INSTALL:
        build()
        found = find_program("minio", BIN)
    if found is None:
        raise Missing("put `minio` on PATH, or install Go and build it")
    return found


def build() -> None:
    """Raises Missing, with the end of what Go says."""
    go = find_go()
    with installing(f"MinIO {VERSION}"):
        if find_program("minio", BIN) is not None:  # another process built it meanwhile
            return
        done = subprocess.run(
            # Without symbols for a debugger it links faster and is a third smaller.
            [go, "install", "-ldflags=-s -w", f"github.com/minio/minio@{VERSION}"],
            env={**os.environ, "GOBIN": str(BIN), "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_S,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Missing(f"it did not build: {done.stderr[-1000:]}")


@dataclass
class MinioServer:
    """`config` is how to reach it; `process` is None for one that ran before."""

    config: S3
    process: Process | None = None
    ready: Callable[[], bool] = lambda: True

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def start_again(self) -> None:
        """On the same data and port."""
        assert self.process is not None
        self.process.start(self.ready, within_s=30)


def start(folder: Path, *, tls: Certificates | None = None, port: int = 0) -> MinioServer:
    """A new one with its data in that folder. The caller stops its process."""
    secret, port = secrets.token_hex(16), port or free_port()
    command = [
        prepare(), "server", str(folder / "data"), "--quiet", "--address", f"127.0.0.1:{port}",
        "--console-address", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    if tls is not None:
        certs = folder / "certs"
        certs.mkdir()
        shutil.copy(tls.cert, certs / "public.crt")
        shutil.copy(tls.key, certs / "private.key")
        command += ["--certs-dir", str(certs)]
    process = Process(
        "minio", command, folder,
        env={"MINIO_ROOT_USER": "hubbub", "MINIO_ROOT_PASSWORD": secret, "MINIO_BROWSER": "off",
             "MINIO_UPDATE": "off", "HOME": str(folder)},
    )  # fmt: skip
    scheme = "http" if tls is None else "https"
    ca_file = "" if tls is None else str(tls.ca)
    ready = partial(_ready, f"{scheme}://127.0.0.1:{port}", ca_file)
    process.start(ready, within_s=30)
    return MinioServer(
        S3(
            endpoint=f"127.0.0.1:{port}",
            access_key="hubbub",
            secret_key=secret,
            tls="off" if tls is None else "verify",
            ca_file=ca_file,
        ),
        process,
        ready,
    )


@cache
def shared(*, tls: bool = False) -> MinioServer:
    """One for all tests of this process, stopped at its end."""
    address = os.environ.get("HUBBUB_TEST_MINIO")
    if address and not tls:
        at = urlsplit(address)
        return MinioServer(
            S3(
                endpoint=f"{at.hostname}:{at.port}",
                access_key=at.username or "",
                secret_key=at.password or "",
                tls="on" if at.scheme == "https" else "off",
            )
        )
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(server_folder("minio"))
    server = start(folder, tls=Certificates(folder) if tls else None)
    assert server.process is not None
    stack.callback(server.process.stop)
    return server


def minio(*, tls: bool = False) -> MinioServer:
    """For fixtures: the shared one, or a skip (under CI=true a failure) where there is none."""
    try:
        return shared(tls=tls)
    except Missing as why:
        missing("MinIO", str(why))
        raise


def _ready(address: str, ca_file: str) -> bool:
    """It can write; a server that merely answers refuses most requests for a moment yet."""
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    try:
        health = f"{address}/minio/health/cluster"
        with urllib.request.urlopen(health, timeout=1, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
