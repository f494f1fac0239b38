"""How long Redis keeps what nodes wrote, and a clock of its that was set back: what it wrote before
lies an hour ahead then.
"""

from __future__ import annotations

import asyncio

import pytest

from storage.api import NodePresence, Spend
from tests.storage_redis.conftest import Open
from tests.support.servers.redis import Server
from tests.support.shared import ALICE, LAURA, MAX, a_node

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000


async def test_a_clock_that_was_set_back_keeps_no_dead_node_alive(
    redis: Server, open_node: Open
) -> None:
    laura = await open_node(redis.settings, "laura")
    await laura.nodes.beat(a_node(LAURA), 60.0)
    await laura.nodes.beat(a_node(MAX), 0.3)
    ends, rest = redis.ask("HGET", "hubbub:nodes", MAX).split(" ", 1)
    redis.ask("HSET", "hubbub:nodes", MAX, f"{int(ends) + HOUR_MS} {rest}")

    alive = await laura.nodes.alive()
    await asyncio.sleep(0.4)

    assert alive == [a_node(LAURA), a_node(MAX)]
    assert await laura.nodes.alive() == [a_node(LAURA)]


async def test_a_clock_that_was_set_back_locks_nobody_out(redis: Server, open_node: Open) -> None:
    laura = await open_node(redis.settings, "laura")
    spend = Spend("send", per_s=1.0, burst=2)
    await laura.limits.take(spend)
    full_at = int(redis.ask("GET", "hubbub:limit:send"))
    redis.ask("SET", "hubbub:limit:send", str(full_at + HOUR_MS * 1000))

    assert 0 < await laura.limits.take(spend) < 70


async def test_nothing_is_kept_for_ever(redis: Server, open_node: Open) -> None:
    laura = await open_node(redis.settings, "laura")
    await laura.nodes.beat(a_node(), 60.0)
    await laura.presence.put(LAURA, {ALICE: NodePresence("online")})
    await laura.limits.debit([Spend("send", per_s=1.0, burst=2)])
    await laura.checks["redis"]()

    keys = redis.ask("KEYS", "*").split()

    assert len(keys) == 5
    assert all(int(redis.ask("PTTL", key)) > 0 for key in keys)
