"""Runs the proof in parts and tells the seconds of each: `python -m tests.run check|all`.

`check` is what every change runs (under a minute); `all` is everything, and fails when anything was
skipped under CI=true. The last line adds up what the parts' own runners counted.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
CI = os.environ.get("CI") == "true"
STARTED = time.monotonic()


@dataclass(frozen=True)
class Step:
    name: str
    command: list[str]
    counts: bool = False
    folder: Path = ROOT
    beside: bool = False
    """It runs while the steps after it do, up to the next that is to be alone."""
    alone: bool = False


class Beside(threading.Thread):
    """A step that runs while others do; what it says is shown when it is told."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.start()

    def run(self) -> None:
        started = time.monotonic()
        self.done = subprocess.run(
            self.step.command, cwd=self.step.folder, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        self.seconds = time.monotonic() - started

    def tell(self, tally: Tally) -> None:
        self.join()
        print(f"== {self.step.name}\n{self.done.stdout}", end="", flush=True)
        tally.add(self.step, self.done.returncode, self.done.stdout, self.seconds)


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: list[tuple[str, float, bool]] = field(default_factory=list)

    def add(self, step: Step, code: int, said: str, seconds: float) -> None:
        good = code == 0
        if step.counts:
            good = count(said, self) and good
        if not good:
            self.failed += 0 if step.counts and "failed" in said[-4000:] else 1
        self.seconds.append((step.name, seconds, good))


def pytest_step(name: str, *arguments: str) -> Step:
    line = [sys.executable, "-m", "pytest", "-q", "--durations=12", "--durations-min=5"]
    return Step(name, [*line, *arguments], counts=True)


STATIC = [
    Step("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."]),
    Step("lint", [str(BIN / "ruff"), "check", "--quiet", "."]),
    Step("types", [str(BIN / "mypy")]),
]
CALLS = ("tests/media", "tests/calls_faults")
"""Their browsers are driven within a loop: the others' driver may not share a process with them."""
HOMES = "tests/calls_browser"
"""Its browsers live in namespaces of their own and stay open to the end."""
FAST = ("-m", "not slow and not browser and not node")
HALF = tuple(f"tests/{name}" for name in (
    "bus", "conformance", "contracts", "faults", "hub", "presence", "relay", "storage", "structure",
))  # fmt: skip
"""By their seconds, half of the fast tests."""
# A person waits for the longest of them.
CHECK = [
    *(replace(step, beside=True) for step in STATIC),
    replace(pytest_step("fast tests, first half", *FAST, *HALF), beside=True),
    pytest_step("fast tests, second half", *FAST, *(f"--ignore={folder}" for folder in HALF)),
]
SLOW = ("-m", "slow and not faults and not browser and not node")
STORES = tuple(f"tests/{name}" for name in (
    "bus", "contracts", "storage", "storage_postgres", "storage_redis", "storage_s3",
))  # fmt: skip
"""They wait for servers' disks and time limits while browsers compute."""
ALL = [
    *STATIC,
    Step("web page", ["sh", "tests/support/build_web.sh", str(BIN)]),
    Step("web types", ["npm", "run", "--silent", "check"], folder=ROOT / "clients"),
    Step("web tests", ["npm", "test", "--silent"], counts=True, folder=ROOT / "clients"),
    pytest_step("fast tests", *FAST),
    pytest_step("slow tests", *SLOW, *(f"--ignore={folder}" for folder in STORES)),
    pytest_step("node clients", "-m", "node"),
    replace(pytest_step("stores", *SLOW, *STORES), beside=True),
    pytest_step("browser", "-m", "browser", *(f"--ignore={one}" for one in (*CALLS, HOMES))),
    pytest_step("calls in a browser", "-m", "browser", *CALLS),
    pytest_step("calls between browsers", "-m", "browser", HOMES),
    replace(pytest_step("faults", "-m", "faults"), alone=True),
]


def main() -> int:
    steps = {"check": CHECK, "all": ALL}[sys.argv[1]]
    # What a helper program in the virtual environment offers (node, npm) counts as installed.
    os.environ["PATH"] = os.environ["PATH"] + os.pathsep + str(BIN)
    tally = Tally()
    beside: list[Beside] = []
    with preparing(sys.argv[1] == "all"):
        for step in steps:
            if step.beside:
                beside.append(Beside(step))
                continue
            while step.alone and beside:
                beside.pop().tell(tally)
            run(step, tally)
    for one in beside:
        one.tell(tally)
    return report(tally)


@contextmanager
def preparing(wanted: bool) -> Iterator[None]:
    """Servers and browsers are installed (in CI, or when asked to) while the first steps run."""
    if not wanted or not (CI or os.environ.get("INSTALL") == "1"):
        yield
        return
    line = ["nice", sys.executable, "-m", "tests.support.servers.prepare"]
    preparation = subprocess.Popen(line, cwd=ROOT)
    try:
        yield
    finally:
        preparation.terminate()
        preparation.wait()


def run(step: Step, tally: Tally) -> None:
    print(f"== {step.name}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        step.command, cwd=step.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    tail = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        tail = (tail + line)[-4000:]
    tally.add(step, process.wait(), tail, time.monotonic() - started)


def count(tail: str, tally: Tally) -> bool:
    """Add up the runner's closing line ("5 passed, 1 skipped"), or those of several Vitest runs
    ("Tests  5 passed | 1 skipped"). False if it counted no test.
    """
    lines = re.sub(r"\x1b\[[0-9;]*m", "", tail).splitlines()
    closing = [line for line in lines if line.lstrip().startswith("Tests ")]
    closing = closing or [line for line in lines if " passed" in line][-1:]
    for name, said in (
        ("passed", "passed"),
        ("failed", "(?:failed|error)"),
        ("skipped", "skipped"),
    ):
        found = re.findall(rf"(\d+) {said}", "\n".join(closing))
        setattr(tally, name, getattr(tally, name) + sum(map(int, found)))
    return any(" passed" in line for line in closing)


def report(tally: Tally) -> int:
    print("\nseconds of each part:")
    for name, seconds, good in tally.seconds:
        print(f"  {seconds:7.1f}  {name}{'' if good else '   FAILED'}")
    print(f"  {time.monotonic() - STARTED:7.1f}  in all")
    if CI and tally.skipped:
        print(f"{tally.skipped} tests were skipped, and under CI=true nothing may be")
    bad = tally.failed or not all(good for _, _, good in tally.seconds) or (CI and tally.skipped)
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
