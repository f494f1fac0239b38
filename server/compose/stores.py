"""Opens what the configuration's shape keeps things in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from server.kernel.clock import Clock, System
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId
from storage.api import (
    Accounts,
    Bus,
    CallQuality,
    Check,
    DirtyRooms,
    Files,
    OpenCalls,
    Projections,
    RoomLog,
    Shared,
    Store,
)
from storage.api.bus import BusLimits


async def open_store(config: Config, *, beside: bool = False) -> Store:
    """The store of the configured shape. Raises Unavailable with what to do.

    `beside`: a server may have it already; for accounts only where one process has the store.
    """
    if config.store.log == "sqlite":
        return await open_folder(config, beside=beside)
    if config.store.log == "postgres":
        return await _open_postgres(config)
    return await _open_cassandra(config)


async def open_shared(config: Config, node_id: NodeId, clock: Clock) -> Shared | None:
    """What nodes share; None where there is one process."""
    if not config.clustered:
        return None
    try:
        from storage.redis import open_redis
    except ImportError as error:
        raise _not_installed("redis", error) from None
    return await open_redis(config.redis, node_id=node_id, clock=clock)


def open_bus(
    config: Config, store: Store, clock: Clock
) -> tuple[Bus, Callable[[], Awaitable[None]] | None]:
    """In the log's own file where one process has it, else on Redis; and how to close it, if it is
    not closed with the store.
    """
    if config.clustered:
        from storage.redis.bus import RedisBus

        bus = RedisBus(config.redis, clock, BusLimits(config.bus.waiting, config.bus.dead))
        return bus, bus.close
    from storage.sqlite.store import SqliteStore

    assert isinstance(store, SqliteStore)
    return store.bus, None


async def open_files(config: Config, clock: Clock) -> Files:
    """Raises Unavailable with what to do; a bucket that does not answer now is none."""
    if config.store.files == "folder":
        from storage.folder import open_folder_files

        return await open_folder_files(Path(config.server.data) / "files", clock=clock)
    try:
        from storage.s3 import open_s3
    except ImportError as error:
        raise _not_installed("s3", error) from None
    return await open_s3(config.s3, clock=clock)


async def open_folder(config: Config, *, beside: bool = False) -> Store:
    """The embedded shape's store. Raises Unavailable with what to do.

    `beside`: if a server has the folder, come beside it (accounts and dead letters only).
    """
    from storage.sqlite import DataError, DataInUse, open_sqlite

    limits = BusLimits(config.bus.waiting, config.bus.dead)
    try:
        folder = _make_folder(Path(config.server.data))
        try:
            return await open_sqlite(folder, clock=System(), bus_limits=limits)
        except DataInUse:
            if not beside:
                raise
            return await open_sqlite(
                folder, clock=System(), readers=1, beside=True, bus_limits=limits
            )
    except DataError as error:
        raise Unavailable(str(error)) from None


async def _open_postgres(config: Config, *, log: bool = True) -> Store:
    try:
        from storage.postgres import CannotOpen, NewerSchema, open_postgres
    except ImportError as error:
        raise _not_installed("postgres", error) from None
    try:
        return await open_postgres(config.postgres, clock=System(), log=log)
    except (CannotOpen, NewerSchema) as error:
        raise Unavailable(str(error)) from None


async def _open_cassandra(config: Config) -> Store:
    try:
        from storage.cassandra import CassandraError, NewerSchema, open_cassandra
    except ImportError as error:
        raise _not_installed("cassandra", error) from None
    beside = await _open_postgres(config, log=False)
    try:
        room_log = await open_cassandra(config.cassandra, clock=System())
    except (CassandraError, NewerSchema) as error:
        await beside.close()
        raise Unavailable(str(error)) from None
    except BaseException:
        await beside.close()
        raise
    return Composite(room_log, beside)


class ClosableLog(RoomLog, Protocol):
    """A room log with a server of its own."""

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class Composite:
    """Implements `Store`: room logs in one place, all else in another."""

    def __init__(self, room_log: ClosableLog, beside: Store) -> None:
        self._room_log = room_log
        self._beside = beside

    @property
    def log(self) -> RoomLog:
        return self._room_log

    @property
    def projections(self) -> Projections:
        return self._beside.projections

    @property
    def accounts(self) -> Accounts:
        return self._beside.accounts

    @property
    def calls(self) -> OpenCalls:
        return self._beside.calls

    @property
    def call_quality(self) -> CallQuality:
        return self._beside.call_quality

    @property
    def joint(self) -> bool:
        return False

    @property
    def dirty(self) -> DirtyRooms | None:
        return self._beside.dirty

    @property
    def checks(self) -> Mapping[str, Check]:
        return {**self._beside.checks, "cassandra": self._room_log.check}

    async def close(self) -> None:
        await self._room_log.close()
        await self._beside.close()


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose another by --data."
        ) from None
    return folder


def _not_installed(extra: str, error: ImportError) -> Unavailable:
    return Unavailable(
        f"{error.name} is not installed. Install Hubbub with its extra: "
        f'pip install "hubbub[{extra}]".'
    )
