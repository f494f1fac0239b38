"""Opens the store on a database."""

from __future__ import annotations

from collections.abc import Mapping

from server.kernel.clock import Clock
from server.kernel.config import Postgres
from server.kernel.errors import Unavailable
from storage.api import Check
from storage.postgres.accounts import PostgresAccounts
from storage.postgres.calls import PostgresCalls
from storage.postgres.connections import CannotOpen, Connections
from storage.postgres.dirty import PostgresDirty
from storage.postgres.log import PostgresLog
from storage.postgres.migration import bring_up
from storage.postgres.projections import PostgresProjections
from storage.postgres.quality import PostgresQuality

PROBE = """INSERT INTO probe (id, at) VALUES (1, $1)
    ON CONFLICT (id) DO UPDATE SET at = excluded.at"""


class PostgresStore:
    """Implements `storage.api.Store`. Made by `open_postgres`."""

    def __init__(self, connections: Connections, clock: Clock, *, beside_log: bool) -> None:
        self._connections = connections
        self._clock = clock
        self.log = PostgresLog(connections)
        self.projections = PostgresProjections(connections, beside_log=beside_log)
        self.accounts = PostgresAccounts(connections)
        self.calls = PostgresCalls(connections)
        self.call_quality = PostgresQuality(connections)
        self.dirty = PostgresDirty(connections)
        self.joint = False
        self.checks: Mapping[str, Check] = {"postgres": self.check}

    async def check(self) -> None:
        """Writes a row and waits for the disk. Raises Unavailable."""
        await self._connections.execute(PROBE, self._clock.now_ms())

    async def close(self) -> None:
        """Wait for what was appended, then end the connections; once."""
        if not self._connections.closed:
            await self.log.close()
            await self._connections.close()


async def open_postgres(config: Postgres, *, clock: Clock, log: bool = True) -> PostgresStore:
    """Connect, and make or migrate the tables as needed.

    `log` False: room logs are kept elsewhere, and `store.log` is not to be used.

    Raises:
        CannotOpen: it does not answer, or refuses. NewerSchema: this program is too old for it.
    """
    connections = Connections(config, clock)
    try:
        await bring_up(connections)
    except Unavailable:
        await connections.close()
        raise CannotOpen(
            f"PostgreSQL at {config.host} port {config.port} cannot be used: {connections.fault}. "
            "Check that it runs, and [postgres] in the configuration."
        ) from None
    except BaseException:
        await connections.close()
        raise
    return PostgresStore(connections, clock, beside_log=log)
