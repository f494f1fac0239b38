"""coturn for tests: its clients speak to our server, its server runs beside ours in the bench."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.support.servers.base import Missing, apt_install, find_program

ADVICE = "install coturn 4 (apt install coturn)"
LIMIT_S = 40.0


@cache
def program(name: str) -> str:
    """`turnserver`, `turnutils_uclient`, `turnutils_stunclient`, `turnutils_peer`.

    Raises Missing.
    """
    found = find_program(name)
    if found is None and apt_install("coturn"):
        found = find_program(name)
    if found is None:
        raise Missing(ADVICE)
    return found


def run(name: str, *arguments: str) -> str:
    """All that the client printed; it ends by itself or after LIMIT_S (then the text says so)."""
    command = [program(name), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as over:
        return f"took longer than {LIMIT_S:.0f} s\n{over.stdout!r}"
    return done.stdout + done.stderr
