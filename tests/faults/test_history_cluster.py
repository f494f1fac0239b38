"""Load on two hubs while every part of the cluster is killed, frozen, cut off or told a wrong time.

The long run is `python -m tests.faults.history`; docs/faults.md says what is proved, and came out.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.history.habits import Habits
from tests.faults.history.proof import Outcome, Wish, prove
from tests.faults.history.subject import ClusterSubject
from tests.support.cluster import Shape, running_cluster
from tests.support.servers.base import Missing, missing

pytestmark = [pytest.mark.slow, pytest.mark.faults]

MINUTES = float(os.environ.get("FAULT_MINUTES", "5"))
FROZEN_S = 9.0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


async def _prove(shape: Shape, wish: Wish, folder: Path) -> Outcome:
    try:
        async with running_cluster(shape) as cluster:
            subject = ClusterSubject(cluster, frozen_s=FROZEN_S)
            outcome = await prove(subject, wish, folder, _say)
    except Missing as error:
        missing("A server of the cluster", str(error))
    _say(str(outcome))
    return outcome


async def test_three_cassandra_nodes_lose_double_and_reorder_nothing(tmp_path: Path, seed: int):
    habits = Habits(rate=30, hold_s=90)
    wish = Wish(seed, MINUTES * 60, people=8, rooms=6, fill=3800, habits=habits)

    outcome = await _prove(Shape(links=True, clock=True), wish, tmp_path)

    assert outcome.good, outcome
    assert outcome.report.numbers["acknowledged"] > 100


async def test_a_log_in_postgresql_loses_doubles_and_reorders_nothing(tmp_path: Path, seed: int):
    wish = Wish(seed, MINUTES * 12, people=8, rooms=6, habits=Habits(rate=60, hold_s=20))

    outcome = await _prove(Shape(log="postgres", links=True, clock=True), wish, tmp_path)

    assert outcome.good, outcome
    assert outcome.report.numbers["acknowledged"] > 100
