"""The schema runner: many nodes at once, older programs beside newer ones."""

from __future__ import annotations

import asyncio

import pytest

from server.kernel.clock import System
from server.kernel.config import Cassandra
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId, RoomId
from storage.cassandra import CassandraError, NewerSchema, open_cassandra
from storage.cassandra.schema import read_steps
from tests.support.cassandra_log import new_keyspace, shared_config
from tests.support.servers.base import free_port
from tests.support.servers.cassandra import rows_of

pytestmark = pytest.mark.slow


def run(config: Cassandra, text: str) -> list[list[bytes]]:
    return rows_of(config.hosts[0], config.port, text)


def add_step(config: Cassandra, number: int, compatible_from: int) -> None:
    run(
        config,
        f"INSERT INTO {config.keyspace}.schema_steps (part, number, compatible_from) "
        f"VALUES (0, {number}, {compatible_from})",
    )


async def test_nodes_that_start_at_once_make_one_schema() -> None:
    config = new_keyspace()

    logs = await asyncio.gather(*(open_cassandra(config, clock=System()) for _ in range(3)))

    made = [await log.create(RoomId("garden"), LogId("log-1")) for log in logs]
    assert made == [True, False, False]
    steps = run(config, f"SELECT number FROM {config.keyspace}.schema_steps WHERE part = 0")
    assert [int.from_bytes(number, "big") for (number,) in steps] == [
        step.number for step in read_steps()
    ]
    for log in logs:
        await log.close()


async def test_a_program_lives_with_later_steps_until_one_says_otherwise() -> None:
    config = new_keyspace()
    latest = read_steps()[-1].number
    await (await open_cassandra(config, clock=System())).close()
    add_step(config, latest + 1, latest)
    run(config, f"ALTER TABLE {config.keyspace}.log ADD later blob")

    beside = await open_cassandra(config, clock=System())
    made = await beside.create(RoomId("garden"), LogId("log-1"))
    await beside.close()
    add_step(config, latest + 2, latest + 1)

    assert made
    with pytest.raises(NewerSchema, match="Start the newer program"):
        await open_cassandra(config, clock=System())


async def test_a_coordinator_that_has_read_nothing_yet_asks_another_replica_as_soon() -> None:
    """A percentile of the reads before is none without reads: then it is 2.5 s."""
    config = new_keyspace()

    await (await open_cassandra(config, clock=System())).close()

    policies = run(
        config,
        "SELECT speculative_retry FROM system_schema.tables "
        f"WHERE keyspace_name = '{config.keyspace}'",
    )
    assert {policy for (policy,) in policies} == {b"150ms"}


async def test_a_name_that_is_no_keyspace_is_refused() -> None:
    with pytest.raises(CassandraError, match=r"cassandra\.keyspace"):
        await open_cassandra(shared_config("drop; table"), clock=System())


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    config = Cassandra(hosts=("127.0.0.1",), port=free_port(), limit_s=2.0)

    with pytest.raises(Unavailable):
        await open_cassandra(config, clock=System())
