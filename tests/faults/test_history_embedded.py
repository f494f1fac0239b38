"""One hub on SQLite, killed again and again: its history passes both checkers; the same history
with a bug planted does not.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.history import planted
from tests.faults.history.checker import check
from tests.faults.history.habits import Habits
from tests.faults.history.nemesis import Fault
from tests.faults.history.proof import Wish, prove
from tests.faults.history.record import Record, read_history
from tests.support.process import Running, start_server

FREE = {
    f"HUBBUB_LIMITS__{name}": "0"
    for name in (
        "SIGNUP_PER_H", "SEND_PER_S", "CONNECT_PER_S", "CONNECT_ADDRESS_PER_S", "HTTP_PER_S",
        "EVENT_PER_S", "LOGIN_FAIL_PER_MIN",
    )
}  # fmt: skip
SECONDS = 6.0


class OneHub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: Running = start_server(folder, env=FREE)
        self.port = self.running.port

    @property
    def urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{self.port}"]

    @property
    def faults(self) -> Sequence[Fault]:
        return [Fault("kill the hub", "hub", "hub", 0.2, self._kill, self._start)]

    async def whole(self) -> None:
        return

    async def read_store(self, rooms: Iterable[str]) -> Iterable[Record]:
        return ()

    async def _kill(self) -> None:
        self.running.kill()

    async def _start(self) -> None:
        self.running = await asyncio.to_thread(start_server, self.folder, port=self.port, env=FREE)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[OneHub]:
    hub = OneHub(tmp_path / "data")
    yield hub
    hub.running.stop()


@pytest.mark.slow
async def test_a_hub_that_is_killed_loses_doubles_and_reorders_nothing(
    hub: OneHub, tmp_path: Path, seed: int
):
    habits = Habits(rate=60, drop_every_s=3.0, page_every_s=0.3, hold_s=3.0)
    wish = Wish(
        seed, SECONDS, people=4, rooms=3, processes=1, fill=100, habits=habits, rest_s=(0.5, 1.5)
    )

    outcome = await prove(hub, wish, tmp_path)

    assert outcome.good, outcome
    assert outcome.struck
    assert outcome.report.numbers["acknowledged"] > 50
    _find_planted(list(read_history(outcome.histories)), seed)


def _find_planted(history: list[Record], seed: int) -> None:
    for rule, plant in planted.BUGS.items():
        report = check(plant(history, random.Random(seed)))
        assert report.broken[rule], rule
