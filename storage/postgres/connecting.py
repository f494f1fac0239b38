"""Makes one connection to the primary."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Literal

import asyncpg

from server.kernel.config import Postgres

FAULTS: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
)
"""What says that the server cannot serve: late, not there, shutting down, full, a standby."""

STATEMENTS_KEPT = 256
"""Prepared statements of each connection; the program has fewer, so each is parsed once."""


async def connect_primary(config: Postgres, limit_s: float) -> asyncpg.Connection[Any]:
    """Ask the hosts in turn; each has its share of the time, so that one that is silent does not
    hide the others.

    Raises:
        FAULTS, TimeoutError: what the last host did.
    """
    hosts = [host.strip() for host in config.host.split(",") if host.strip()]
    fault: Exception = asyncpg.InterfaceError("no host is configured")
    for host in hosts:
        try:
            async with asyncio.timeout(limit_s / len(hosts)):
                return await _connect(config, host)
        except FAULTS as error:
            fault = error
    raise fault


async def _connect(config: Postgres, host: str) -> asyncpg.Connection[Any]:
    limit_ms = str(max(1, round(config.limit_s * 1000)))
    return await asyncpg.connect(
        host=host,
        port=config.port,
        user=config.user,
        password=config.password or None,
        database=config.database,
        ssl=_tls(config),
        target_session_attrs="primary",
        statement_cache_size=STATEMENTS_KEPT,
        max_cached_statement_lifetime=0,
        server_settings={
            "application_name": "hubbub",
            # Durable whatever the role's default is: an `ok` is a promise.
            "synchronous_commit": "on",
            # What the caller gave up must not go on for long, or hold its locks.
            "statement_timeout": limit_ms,
            "idle_in_transaction_session_timeout": limit_ms,
            # Compiling costs more than any of our statements.
            "jit": "off",
            # Plans are kept; one made while a table was small must not read it whole later.
            "enable_seqscan": "off",
        },
    )


def _tls(config: Postgres) -> ssl.SSLContext | Literal[False]:
    if config.tls == "off" or config.host.startswith("/"):
        return False
    context = ssl.create_default_context(cafile=config.ca_file or None)
    if config.tls == "on":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
