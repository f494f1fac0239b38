"""Four processes on one port and many unmodified socket.io-clients at once: every conversation is
carried through, wherever the kernel brings each request.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.process import ROOT
from tests.support.worker_processes import Workers, many_clients, worker_processes

pytestmark = [pytest.mark.node, pytest.mark.slow]

CLIENTS = {"uvloop": 100, "asyncio": 40}


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    if shutil.which("node") is None:
        pytest.skip("no node on PATH")
    if not (ROOT / "clients" / "node_modules" / "socket.io-client").exists():
        pytest.skip("socket.io-client is not installed: make web")
    arguments = ("--workers", "4", "--mode", "socketio", "--loop", request.param)
    with worker_processes(*arguments) as running:
        running.loop = request.param
        yield running


@pytest.mark.parametrize("connections", ["fresh", "kept"])
@pytest.mark.parametrize(
    ("mode", "ends_as"),
    [("polling-first", "websocket"), ("polling", "polling"), ("websocket", "websocket")],
)
def test_every_conversation_is_carried_through(
    workers: Workers, mode: str, ends_as: str, connections: str
) -> None:
    count = CLIENTS[workers.loop]

    result = many_clients(workers.url, count, mode, connections)

    assert result == {"through": count, "faults": [], "used": [ends_as]}


def test_it_took_handing_over_and_nothing_is_left(workers: Workers) -> None:
    many_clients(workers.url, 20, "polling", "fresh")

    stats = workers.stats(4).values()

    assert all(one["given"] > 0 and one["taken"] > 0 for one in stats)
    assert sum(one["failed"] for one in stats) == 0
    assert max(one["connections"] for one in stats) <= 1
    assert max(one["fds"] for one in stats) < 60
