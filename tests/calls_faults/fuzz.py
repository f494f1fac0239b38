"""Runs fuzz targets for long: `python -m tests.calls_faults.fuzz [--seconds 300] [NAME ...]`.

Prints, for each: rounds, and what memory it holds more than after its first tenth (a leak would
grow with the rounds). A failure prints seed and round: the same seed finds it again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
import tracemalloc
from pathlib import Path

from tests.calls_faults.targets import TARGETS


def resident_kib() -> int:
    """Of this process: C libraries count too."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(name: str, seed: int, seconds: float) -> bool:
    chance = random.Random(f"{name} {seed}")
    target = TARGETS[name]()
    began = time.monotonic()
    rounds = 0
    settled: tuple[int, int] | None = None
    tracemalloc.start()
    try:
        while (elapsed := time.monotonic() - began) < seconds:
            if settled is None and elapsed > seconds / 10:
                settled = tracemalloc.get_traced_memory()[0], resident_kib()
            target.round(chance)
            rounds += 1
    except Exception:
        say(f"{name}: seed {seed}, round {rounds}")
        traceback.print_exc(file=sys.stdout)
        return False
    held, resident = settled or (0, resident_kib())
    more = (tracemalloc.get_traced_memory()[0] - held) // 1024
    tracemalloc.stop()
    grown = resident_kib() - resident
    say(f"{name:15} {rounds:9,} rounds  python {more:+,} KiB  resident {grown:+,} KiB")
    return True


def main() -> int:
    options = argparse.ArgumentParser(prog="tests.calls_faults.fuzz")
    options.add_argument("names", nargs="*", choices=[*TARGETS, []], default=[])
    options.add_argument("--seconds", type=float, default=300.0, help="for each target")
    options.add_argument("--seed", type=int, default=20261121)
    chosen = options.parse_args()
    names = chosen.names or list(TARGETS)
    good = [run(name, chosen.seed, chosen.seconds) for name in names]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
