"""Opens room logs in Cassandra."""

from __future__ import annotations

from server.kernel.clock import Clock
from server.kernel.config import Cassandra
from storage.cassandra.log import CassandraLog
from storage.cassandra.schema import Schema, read_steps
from storage.cassandra.session import connect
from storage.cassandra.statements import LOG, SCHEMA, in_keyspace


async def open_cassandra(config: Cassandra, *, clock: Clock) -> CassandraLog:
    """Connect, bring the keyspace to this program's shape, and prepare.

    Raises:
        Unavailable: no host answers. NewerSchema: this program is too old for the keyspace.
        CassandraError: a setting cannot be used; the text names it.
    """
    session = await connect(config, clock)
    try:
        schema = Schema(session, config, read_steps())
        await schema.found()
        await session.prepare(in_keyspace(SCHEMA, config.keyspace))
        await schema.bring_up()
        await session.prepare(in_keyspace(LOG, config.keyspace))
    except BaseException:
        await session.close()
        raise
    return CassandraLog(session, clock)
