"""The driver: reads and plain writes are repeated elsewhere, conditional batches are sent once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import acsylla
from acsylla import errors

from server.kernel.clock import Clock
from server.kernel.config import Cassandra
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from storage.guard import Guard

_T = TypeVar("_T")
Row = tuple[Any, ...]
Step = tuple[str, Sequence[Any]]
"""A statement's name, and the values it binds."""

QUORUM = acsylla.Consistency.QUORUM
SERIAL = acsylla.Consistency.LOCAL_SERIAL
PAGE_ROWS = 1000
ATTEMPTS_S = (0.8, 1.2, 1.4, 1.5)
"""A read that a dead or frozen node holds is asked of the next one after so long."""
CONDITIONAL_S = 2.5
"""Above the server's own limits for these (2 s), so that its answer is the rule."""
PAUSE_S = 0.05
AT_ONCE = 256
"""Statements under way in one process; the others wait their turn."""
TURN_S = 10.0
"""Reads that wait longer for their turn are refused: more come than Cassandra answers."""

FAULTS = (
    errors.CassErrorLibNoHostsAvailable,
    errors.CassErrorLibNoStreams,
    errors.CassErrorLibRequestQueueFull,
    errors.CassErrorLibRequestTimedOut,
    errors.CassErrorLibUnableToConnect,
    errors.CassErrorLibUnableToDetermineProtocol,
    errors.CassErrorLibUnableToSetKeyspace,
    errors.CassErrorLibUnexpectedResponse,
    errors.CassErrorLibWriteError,
    errors.CassErrorServerIsBootstrapping,
    errors.CassErrorServerOverloaded,
    errors.CassErrorServerReadFailure,
    errors.CassErrorServerReadTimeout,
    errors.CassErrorServerServerError,
    errors.CassErrorServerUnavailable,
    errors.CassErrorServerWriteFailure,
    errors.CassErrorServerWriteTimeout,
)
"""The server cannot serve, or did not say. All others are faults of ours and pass."""

log = get_logger(__name__)


class CassandraError(Exception):
    """The room logs cannot be opened as they are configured; the text says what to do."""


class Unknown(Exception):
    """A conditional batch may have been applied, or may yet be."""


class Session:
    """All statements by their names, prepared once. After `close` every call is Unavailable."""

    def __init__(self, driver: acsylla.Session, guard: Guard) -> None:
        self.guard = guard
        self._driver = driver
        self._prepared: dict[str, acsylla.PreparedStatement] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    async def prepare(self, statements: Mapping[str, str]) -> None:
        async def prepare(name: str, text: str) -> None:
            self._prepared[name] = await self._driver.create_prepared(text)

        work = asyncio.gather(*(prepare(*item) for item in statements.items()))
        await self.guard.call(work, limit_s=30)

    async def read(self, name: str, *values: Any, serial: bool = False) -> list[Row]:
        """All rows, at QUORUM; `serial`: after all conditional batches on the partition that were
        begun are through.
        """
        return await self._repeated(lambda: self._read(name, values, serial))

    async def write(self, name: str, *values: Any) -> None:
        """A write that may be repeated, at QUORUM."""
        await self._repeated(lambda: self._write(name, values))

    async def conditional(self, steps: Sequence[Step]) -> list[dict[str, Any]]:
        """One conditional batch on one partition, sent at most once. [] when it was applied, else
        the rows whose conditions did not hold (one without columns where there is none).

        Raises:
            Unknown: no telling. Unavailable: it was not sent.
        """
        self.check_open()
        self.guard.refuse()
        batch = acsylla.create_batch_unlogged()
        for name, values in steps:
            statement = self._prepared[name].bind()
            statement.bind_list(list(values))
            batch.add_statement(statement)
        batch.set_consistency(QUORUM)
        batch.set_serial_consistency(SERIAL)
        batch.set_is_idempotent(False)
        batch.set_retry_policy("fallthrough")
        batch.set_request_timeout(int(CONDITIONAL_S * 1000))
        async with self._turns:
            self.check_open()
            try:
                async with asyncio.timeout(2 * CONDITIONAL_S):
                    result = await self._driver.execute_batch(batch)
            except (TimeoutError, *FAULTS) as fault:
                raise Unknown(type(fault).__name__) from None
        self.guard.succeeded()
        rows = [row.as_dict() for row in result]
        return [] if rows and rows[0]["[applied]"] else rows

    async def insist(self, steps: Sequence[Step]) -> tuple[list[dict[str, Any]], bool]:
        """A conditional batch that is sent again when its outcome is unknown. Returns what
        `conditional` does, and whether a refusal may come from its own first sending. Raises
        Unavailable.
        """
        for attempt in range(4):
            try:
                return await self.conditional(steps), attempt > 0
            except Unknown:
                await asyncio.sleep(PAUSE_S * 2**attempt)
        raise self.guard.unavailable()

    async def text(self, text: str) -> list[Row]:
        """A statement that is not prepared: of the schema."""
        result = await self.guard.call(self._driver.query(text, timeout=30.0), limit_s=35)
        return [row.as_tuple() for row in result]

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._driver.close()

    async def _repeated(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Waiting for a turn is no fault of Cassandra's: it has a limit of its own."""
        self.check_open()
        async with self._turn():
            return await self.guard.call(self._attempts(work))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises Unavailable: too many before us."""
        if self.guard.is_open:
            raise self.guard.unavailable()
        try:
            async with asyncio.timeout(TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            text = "Cassandra is overloaded. Try again later."
            raise Unavailable(text, retry_after_s=1.0) from None
        try:
            yield
        finally:
            self._turns.release()

    async def _attempts(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Until it works; the guard's time limit ends it. A fault of the whole cluster is known by
        the last.
        """
        for attempt, within_s in enumerate(ATTEMPTS_S, 1):
            try:
                async with asyncio.timeout(within_s):
                    return await work()
            except (TimeoutError, *FAULTS):
                if attempt == len(ATTEMPTS_S) or self._closed:
                    raise
            await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    async def _read(self, name: str, values: Sequence[Any], serial: bool) -> list[Row]:
        rows: list[Row] = []
        state: bytes | None = None
        while True:
            statement = self._prepared[name].bind(page_size=PAGE_ROWS, page_state=state)
            statement.bind_list(list(values))
            statement.set_consistency(SERIAL if serial else QUORUM)
            statement.set_is_idempotent(True)
            result = await self._driver.execute(statement)
            rows.extend(row.as_tuple() for row in result)
            if not result.has_more_pages():
                return rows
            state = result.page_state()

    async def _write(self, name: str, values: Sequence[Any]) -> None:
        statement = self._prepared[name].bind()
        statement.bind_list(list(values))
        statement.set_consistency(QUORUM)
        statement.set_is_idempotent(True)
        await self._driver.execute(statement)

    def check_open(self) -> None:
        if self._closed:
            raise Unavailable("The store is closed. Try again later.", retry_after_s=1.0)


KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}\Z")
TLS_FLAGS = {
    "on": acsylla.SSLVerifyFlags.NONE,
    "verify": acsylla.SSLVerifyFlags.PEER_IDENTITY,
}


async def connect(config: Cassandra, clock: Clock) -> Session:
    """Raises Unavailable: no host answers in time. CassandraError."""
    if KEYSPACE.match(config.keyspace) is None:
        raise CassandraError(f"cassandra.keyspace: {config.keyspace!r} is not a lower-case name.")
    guard = Guard("Cassandra", clock, faults=FAULTS, limit_s=config.limit_s)
    tls: dict[str, Any] = {}
    if config.tls != "off":
        tls = {
            "ssl_enabled": True,
            "ssl_trusted_cert": _trusted(config.ca_file),
            "ssl_verify_flags": TLS_FLAGS[config.tls],
        }
    cluster = acsylla.create_cluster(
        list(config.hosts),
        port=config.port,
        username=config.user or None,
        password=config.password or None,
        connect_timeout=min(config.limit_s, 5.0),
        request_timeout=config.limit_s,
        consistency=QUORUM,
        serial_consistency=SERIAL,
        load_balance_dc_aware=config.datacenter,
        retry_policy="fallthrough",
        coalesce_delay_us=1,
        exponential_reconnect_base_delay_ms=200,
        exponential_reconnect_max_delay_ms=2000,
        heartbeat_interval_sec=1,
        idle_timeout_sec=4,
        tcp_nodelay=True,
        log_level="error",
        logging_callback=_logged,
        **tls,
    )
    try:
        driver = await guard.call(cluster.create_session(), limit_s=15)
    except errors.CassErrorServerBadCredentials:
        raise CassandraError("Cassandra refuses cassandra.user and cassandra.password.") from None
    except errors.CassErrorSourceSsl as error:
        raise CassandraError(f"Cassandra's TLS: {type(error).__name__}: see ca_file.") from None
    return Session(driver, guard)


async def _logged(message: acsylla.LogMessage) -> None:
    """The driver's own words name addresses: only that it complained."""
    log.debug("cassandra.driver", level=str(message.log_level))


def _trusted(ca_file: str) -> str | None:
    try:
        return Path(ca_file).read_text("utf-8") if ca_file else None
    except OSError:
        raise CassandraError("cassandra.ca_file cannot be read.") from None
