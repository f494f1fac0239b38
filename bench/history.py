"""Pages of 50 from anywhere in a room of 1,000,000 events, over HTTP as a client gets them."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

from bench import machine, seed, servers
from bench.generator import CannotRun
from bench.works import Figures, Wanted

EVENTS = 1_000_000
PAGE = 50
WARMUP = 50
WANTED = (Wanted("page p99 ms", 20, 5, lower_is_better=True),)


@contextlib.contextmanager
def room(events: int) -> Iterator[tuple[int, str, str]]:
    """Port, token and room id of a server with such a room."""
    with servers.data_folder() as folder:
        token, room_id = seed.seed_history(folder / "data", events)
        port = machine.free_port()
        command = servers.hubbub_command(folder / "data", port)
        with servers.started(command, port, Path(folder) / "log"):
            yield port, token, room_id


def measure(port: int, token: str, room_id: str, *, events: int, pages: int) -> Figures:
    """Half of the pages forwards, half backwards, each from a random place (fixed seed)."""
    chance = random.Random(7)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    head = {"Authorization": f"Bearer {token}"}
    took = []
    for number in range(WARMUP + pages):
        where = "after" if number % 2 else "before"
        at = chance.randrange(PAGE + 5, events - PAGE)
        began = time.perf_counter()
        connection.request(
            "GET", f"/api/v1/rooms/{room_id}/events?{where}={at}&limit={PAGE}", headers=head
        )
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status != 200 or len(json.loads(body)["events"]) != PAGE:
            raise CannotRun(f"history answered {answer.status}: {body[:200]!r}")
    connection.close()
    kept = sorted(took[WARMUP:])
    return {
        "page p50 ms": kept[len(kept) // 2],
        "page p99 ms": kept[int(len(kept) * 0.99)],
        "page max ms": kept[-1],
    }
