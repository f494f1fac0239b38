"""The long run: `python -m tests.faults.history --minutes 60 --seed 1`. Exit code 1: something was
lost, doubled, reordered, or not there in time."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.history.habits import Habits
from tests.faults.history.proof import Outcome, Wish, prove
from tests.faults.history.subject import ClusterSubject
from tests.support.cluster import Shape, running_cluster


def main() -> int:
    options = _options()
    folder = Path(options.keep or tempfile.mkdtemp(prefix="hubbub-history-"))
    folder.mkdir(parents=True, exist_ok=True)
    outcome = asyncio.run(_run(options, folder))
    _say(str(outcome))
    if outcome.good and not options.keep:
        shutil.rmtree(folder)
    else:
        _say(f"the histories are in {folder}")
    return 0 if outcome.good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.history", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", choices=("cassandra", "postgres"), default="cassandra")
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--rooms", type=int, default=8)
    parser.add_argument(
        "--rate", type=float, default=50.0, help="commands a second of each, at most"
    )
    parser.add_argument("--frozen", type=float, default=30.0, help="seconds that SIGSTOP lasts")
    parser.add_argument("--keep", default="", help="a folder for the histories, kept")
    return parser.parse_args()


async def _run(options: argparse.Namespace, folder: Path) -> Outcome:
    shape = Shape(log=options.log, links=True, clock=True)
    wish = Wish(
        options.seed, options.minutes * 60, people=options.people, rooms=options.rooms,
        fill=3800, habits=Habits(rate=options.rate, hold_s=120),
    )  # fmt: skip
    async with running_cluster(shape) as cluster:
        _say(f"{options.log}, hubs at {', '.join(cluster.urls)}")
        subject = ClusterSubject(cluster, frozen_s=options.frozen)
        try:
            return await prove(subject, wish, folder, _say)
        finally:
            for hub in cluster.hubs:
                shutil.copy(hub.process.log, folder)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
