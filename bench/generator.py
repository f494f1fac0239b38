"""Compiles and runs the load generator (bench/load, C)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench import machine

HERE = Path(__file__).parent
BUILD = HERE / "build"
PROGRAM = BUILD / "load"
SOURCES = HERE / "load"
FLAGS = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra"]
TIME_LIMIT_S = 420


class CannotRun(Exception):
    """Something that the benchmark needs is not there; the text says what to do."""


def compile_generator() -> None:
    """Raises CannotRun: no compiler, or it refuses."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        raise CannotRun(
            "The load generator needs a C compiler (Debian: apt install gcc libc6-dev)."
        )
    BUILD.mkdir(exist_ok=True)
    parts = sorted(str(path) for path in SOURCES.glob("*.c"))
    done = subprocess.run(
        [compiler, *FLAGS, "-o", str(PROGRAM), *parts], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotRun(f"The load generator does not compile:\n{done.stderr}")


def run_generator(options: dict[str, object], *, port: int, pids: list[int]) -> dict[str, Any]:
    """One run's report. Its key `faults` names what was not as it must be; empty is good."""
    _, core = machine.cores()
    command = [*machine.on_core(core), str(PROGRAM), "--port", str(port)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    for pid in pids:
        command += ["--pid", str(pid)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S
    )
    if not done.stdout.startswith("{"):
        raise CannotRun(f"The load generator failed: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    wrong = ("missing", "duplicates", "strays", "refused", "lost_sockets")
    report["faults"] = {name: report[name] for name in wrong if report[name]}
    return report
