"""The connections of a process. asyncpg's own pool waits for a server that is frozen when a call is
given up, and asks it to reset after each call; here a connection in doubt is cut at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg

from server.kernel.clock import Clock
from server.kernel.config import Postgres
from server.kernel.errors import Unavailable
from storage.guard import Guard
from storage.postgres.connecting import FAULTS, connect_primary

_T = TypeVar("_T")
Connection: TypeAlias = "asyncpg.Connection[Any]"
Work = Callable[[Connection], Awaitable[_T]]

MAX_WAITING = 10_000
"""Calls that may wait for a connection: beyond it they are refused, not queued."""
GOODBYE_S = 1.0
TRIES = 3
"""For a transaction that the server itself undid: a deadlock."""


class CannotOpen(Exception):
    """The database cannot be used; the text is for the operator and says what to do."""


class Connections:
    """At most `config.pool` connections, each made when it is needed.

    Calls raise Unavailable when the server cannot serve; whether a call that was under way was
    carried out is then unknown, and it is never tried again.
    """

    def __init__(self, config: Postgres, clock: Clock) -> None:
        self._config = config
        self._guard = Guard("PostgreSQL", clock, faults=FAULTS, limit_s=config.limit_s)
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self.closed = False
        self.fault = ""
        """What the server did when last a connection to it failed."""

    @property
    def size(self) -> int:
        return self._config.pool

    async def fetch(self, sql: str, *params: object) -> Sequence[Any]:
        """All rows of one statement, which is a transaction of its own."""
        return await self.run(lambda connection: connection.fetch(sql, *params))

    async def value(self, sql: str, *params: object) -> Any:
        """The first column of the first row; None when there is none."""
        rows = await self.fetch(sql, *params)
        return rows[0][0] if rows else None

    async def execute(self, sql: str, *params: object) -> int:
        """How many rows it changed."""
        status = await self.run(lambda connection: _execute(connection, sql, params))
        return int(status.rpartition(" ")[2])

    async def transaction(self, work: Work[_T], *, limit_s: float | None = None) -> _T:
        """`work`'s statements together or not at all."""

        async def within(connection: Connection) -> _T:
            await connection.execute("BEGIN")
            try:
                result = await work(connection)
            except Exception:  # not a cancellation: then nobody waits, and the server undoes it
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")
            return result

        return await self.run(within, limit_s=limit_s)

    async def run(self, work: Work[_T], *, limit_s: float | None = None) -> _T:
        """Waiting for a connection is no fault of the server's: it has a time limit of its own, and
        the breaker does not count it.
        """
        if self.closed or self._guard.is_open:
            raise self._guard.unavailable()
        limit_s = self._config.limit_s if limit_s is None else limit_s
        place = Place(await self._reserve(limit_s))
        try:
            return await self._guard.call(self._on(place, work), limit_s=limit_s)
        finally:
            if not place.used:  # the breaker opened while we waited
                self._give_back(place.connection)

    async def _reserve(self, limit_s: float) -> Connection | None:
        """An idle connection or None: room for a new one, which is kept for the caller."""
        if self._idle or self._open < self.size:
            return self._from_idle()
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    handed = await self._wait()
                    if handed is not None:
                        return handed
                    if self._idle or self._open < self.size:
                        return self._from_idle()
        except TimeoutError:
            raise self._busy() from None

    def _give_back(self, connection: Connection | None) -> None:
        if connection is not None:
            self._release(connection, sound=True)
        else:
            self._open -= 1
            self._hand_over(None)

    def _from_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open -= 1
        self._open += 1
        return None

    async def _on(self, place: Place, work: Work[_T]) -> _T:
        place.used = True
        connection = place.connection or await self._make()
        try:
            result = await _undaunted(work, connection)
        except BaseException as error:
            unstorable = _is_unstorable(error)
            refused = isinstance(error, asyncpg.PostgresError) and not isinstance(error, FAULTS)
            # Anything else was given up or cut in the middle of an answer.
            self._release(connection, sound=unstorable or refused)
            if unstorable:
                raise Unstorable from None  # its text would show values
            raise
        self._release(connection, sound=True)
        return result

    # ---- who has which ---------------------------------------------------------------------------

    async def _make(self) -> Connection:
        """In the place that was reserved."""
        try:
            connection = await connect_primary(self._config, self._config.limit_s)
        except BaseException as error:
            self.fault = f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
            self._open -= 1
            self._hand_over(None)
            raise
        if self.closed:
            connection.terminate()
            raise asyncpg.InterfaceError("closed")
        return connection

    async def _wait(self) -> Connection | None:
        """A connection that another call gives back, or None: there is room for a new one."""
        if len(self._waiting) >= MAX_WAITING:
            raise self._busy()
        waiting: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                handed = waiting.result()
                if handed is None:
                    self._hand_over(None)
                else:
                    self._release(handed, sound=True)
            raise

    @staticmethod
    def _busy() -> Unavailable:
        return Unavailable("The database is overloaded. Try again later.", retry_after_s=1.0)

    def _release(self, connection: Connection, *, sound: bool) -> None:
        if sound and not self.closed and not connection.is_closed():
            if not self._hand_over(connection):
                self._idle.append(connection)
            return
        connection.terminate()
        self._open -= 1
        if not sound:
            self._drop_idle()
        self._hand_over(None)

    def _drop_idle(self) -> None:
        """What ended one connection may have ended all: the next calls make new ones."""
        while self._idle:
            self._idle.pop().terminate()
            self._open -= 1

    def _hand_over(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    async def close(self) -> None:
        """Idle connections say goodbye; calls under way end by themselves, none begins."""
        self.closed = True
        idle, self._idle = self._idle, []
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(self._guard.unavailable())
        self._waiting.clear()
        await asyncio.gather(*map(_say_goodbye, idle))


@dataclass(slots=True)
class Place:
    """Of one call: a connection, or room for a new one. `used`: the call has begun."""

    connection: Connection | None
    used: bool = False


class Unstorable(ValueError):
    """A text with U+0000, a number beyond 64 bits: PostgreSQL cannot hold it, so no row has it."""


def _is_unstorable(error: BaseException) -> bool:
    """Told by the server, or by the driver before anything was sent."""
    told = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
    return isinstance(error, told) or type(error) is asyncpg.DataError


async def _say_goodbye(connection: Connection) -> None:
    try:
        await connection.close(timeout=GOODBYE_S)
    except FAULTS:
        connection.terminate()


async def _execute(connection: Connection, sql: str, params: Sequence[object]) -> str:
    status: str = await connection.execute(sql, *params)
    return status


async def _undaunted(work: Work[_T], connection: Connection) -> _T:
    """Run it again when the server undid it: of a deadlock nothing is left."""
    for _ in range(TRIES - 1):
        try:
            return await work(connection)
        except asyncpg.TransactionRollbackError:
            continue
    return await work(connection)
