"""Pages of messages that are far apart: found as by a plain scan, at the cost of a page."""

from __future__ import annotations

import time
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.kernel.clock import Virtual
from server.kernel.ids import LogId, Seq
from storage.sqlite import open_sqlite
from storage.sqlite.connection import open_writer
from storage.sqlite.migration import bring_up
from storage.sqlite.pages import find_messages
from tests.support.stores import GARDEN

LONG = 1_000_000
INSERT = """INSERT INTO events (pos, type, at, n, id, sender_id, device_id, content, turns)
    VALUES (?, ?, 1, 0, 'e', 'u', 'd', 'x', ?)"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> apsw.Connection:
    path = tmp_path_factory.mktemp("pages") / "pages.db"
    connection = open_writer(path)
    bring_up(connection, None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


runs = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@settings(max_examples=60)
@given(
    runs=runs,
    messages_first=st.booleans(),
    low=st.integers(0, 120),
    span=st.integers(0, 300),
    limit=st.integers(1, 6),
    newest=st.booleans(),
)
def test_messages_are_found_as_a_scan_finds_them(
    database: apsw.Connection,
    runs: list[int],
    messages_first: bool,
    low: int,
    span: int,
    limit: int,
    newest: bool,
) -> None:
    kinds = [
        (number % 2 == 0) == messages_first for number, size in enumerate(runs) for _ in range(size)
    ]
    before = [False, *kinds]
    rows = [
        (i + 1, 0 if kinds[i] else 4, 1 if kinds[i] != before[i] else None)
        for i in range(len(kinds))
    ]
    database.execute("DELETE FROM events")
    database.executemany(INSERT, rows)

    found = find_messages(database, low, low + span, limit, newest=newest)

    wanted = [pos for pos, kind, _ in rows if kind == 0 and low < pos < low + span]
    wanted = wanted[::-1] if newest else wanted
    assert [pos for pos, _ in found] == wanted[:limit]


@pytest.mark.slow
async def test_a_page_of_a_million_events_costs_a_page(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, clock=Virtual())
    await store.log.create(GARDEN, LogId("log"))
    await store.close()
    fill_room(tmp_path / "hubbub.db", LONG)
    store = await open_sqlite(tmp_path, clock=Virtual())

    took = []
    for number in range(300):
        at = Seq(number * 7_919 * 13 % LONG)
        for view in (
            {"after": at},
            {"before": at + 1, "newest": True},
            {"after": at, "messages": True},
            {"before": at + 1, "newest": True, "messages": True},
        ):
            started = time.process_time()
            await store.log.read(GARDEN, limit=50, **view)  # type: ignore[arg-type]
            took.append(time.process_time() - started)
    await store.close()

    # Of the processor: the file is in memory, and others use the machine too.
    took.sort()
    assert took[int(len(took) * 0.99)] < 0.020, f"p99 {took[int(len(took) * 0.99)] * 1e3:.1f} ms"


def fill_room(path: Path, count: int) -> None:
    """One room of `count` events: messages, with a run of 10,000 reactions after each 90,000."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF")
    key = connection.execute("SELECT key FROM rooms").get
    connection.execute(
        """WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?2)
        INSERT INTO events (pos, type, at, n, id, sender_id, device_id, client_id, content, turns)
        SELECT (?1 << 32) + i, CASE WHEN i % 100000 < 90000 THEN 0 ELSE 3 END, i, i, 'event-' || i,
               'user-' || (i % 50), 'device', 'client-' || i,
               '{"type":"text","body":"' || hex(zeroblob(60)) || '"}',
               CASE WHEN i = 1 OR i % 100000 IN (0, 90000) THEN 1 END
        FROM numbers""",
        (key, count),
    )
    connection.close()
