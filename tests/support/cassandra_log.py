"""Room logs in the test session's Cassandra: one keyspace for all tests, emptied for each."""

from __future__ import annotations

import itertools
import os

from server.kernel.clock import Clock
from server.kernel.config import Cassandra
from storage.cassandra import CassandraLog, open_cassandra
from tests.support.servers.cassandra import SharedCassandra, rows_of

KEYSPACE = f"contracts_{os.getpid()}"
KEYS = {
    "rooms": ("room",), "log": ("room", "bucket"), "targets": ("room", "chunk"),
    "expiries": ("hour",), "activity": ("hour",), "hours": ("name",), "errands": ("shard",),
}  # fmt: skip
_numbers = itertools.count(1)


def shared_config(keyspace: str = KEYSPACE) -> Cassandra:
    host, port = SharedCassandra.address()
    return Cassandra(hosts=(host,), port=port, keyspace=keyspace, replication=1, limit_s=10.0)


def new_keyspace() -> Cassandra:
    """Its tables are made when it is opened: about a second."""
    return shared_config(f"test_{os.getpid()}_{next(_numbers)}")


async def empty_log(*, clock: Clock) -> CassandraLog:
    """The shared keyspace without the rows of the test before: partitions are deleted one by one,
    which is far quicker than new tables.
    """
    config = shared_config()
    log = await open_cassandra(config, clock=clock)
    empty(config)
    return log


def empty(config: Cassandra) -> None:
    address = (config.hosts[0], config.port)
    for table, names in KEYS.items():
        name = f"{config.keyspace}.{table}"
        for values in rows_of(*address, f"SELECT DISTINCT {', '.join(names)} FROM {name}"):
            where = " AND ".join(
                f"{key} = {_literal(key, value)}" for key, value in zip(names, values, strict=True)
            )
            rows_of(*address, f"DELETE FROM {name} WHERE {where}")


def _literal(key: str, value: bytes) -> str:
    if key in ("room", "name"):
        return f"'{value.decode()}'"
    return str(int.from_bytes(value, "big", signed=True))
