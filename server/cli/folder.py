"""What is done to a data folder as a whole: migrate, backup, restore, rebuild."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from server.chat.fold import rebuild as rebuild_projections
from server.cli.terms import Refused, say
from server.compose import open_store
from server.kernel.config import Config
from server.kernel.ids import RoomId
from server.kernel.logs import configure_logs
from storage import sqlite

Step = Callable[[int, int], None]


def migrate(config: Config) -> None:
    if config.clustered:
        asyncio.run(_migrate_servers(config))
        return
    folder = _existing(config)
    with _explained():
        before, after = sqlite.migrate(folder)
    if before == after:
        say(f"{folder} is current (version {after}).")
    else:
        say(f"{folder} went from version {before} to {after}.")


async def _migrate_servers(config: Config) -> None:
    """Opening is migrating: the steps only add, so nodes of the version before go on."""
    configure_logs("warning", config.logging.format)
    store = await open_store(config)
    names = ", ".join(store.checks)
    await store.close()
    say(f"{names}: current.")


def backup(config: Config, target: Path) -> None:
    _check_folder_shape(config)
    with _explained(), _progress("copying") as step:
        sqlite.backup(_existing(config), target, step)
    say(f"{target} holds the data as of now. Keep it as safe as the folder itself.")


def restore(config: Config, source: Path, *, force: bool) -> None:
    _check_folder_shape(config)
    folder = Path(config.server.data)
    with _explained(), _progress("restoring") as step:
        sqlite.restore(source, folder, step, force=force)
    say(f"{folder} holds the backup. Clients will load their rooms anew.")


def rebuild(config: Config) -> None:
    if not config.clustered:
        _existing(config)
    configure_logs("warning", config.logging.format)

    async def work(step: Step) -> int:
        store = await open_store(config)

        def page(room_id: RoomId, done: int, total: int) -> None:
            step(done, total)

        try:
            return await rebuild_projections(store, page)
        finally:
            await store.close()

    with _progress("rebuilding") as step:
        count = asyncio.run(work(step))
    say(f"Everything derived was made anew from {count} events.")


def renew(config: Config) -> None:
    if not config.clustered:
        raise Refused("hubbub restore does this for a data folder.")
    configure_logs("warning", config.logging.format)

    async def work() -> int:
        store = await open_store(config)
        try:
            await store.log.renew()
            return len(await store.log.room_ids())
        finally:
            await store.close()

    count = asyncio.run(work())
    say(f"{count} logs have a new identity. Clients will load their rooms anew.")


def _check_folder_shape(config: Config) -> None:
    if config.clustered:
        raise Refused(
            "The data lie in servers with tools of their own: pg_dump for PostgreSQL, nodetool "
            "snapshot for Cassandra, a mirror of the bucket. docs/operations.md says how."
        )


def _existing(config: Config) -> Path:
    folder = Path(config.server.data)
    if not folder.is_dir():
        raise Refused(f"There is no data folder {folder}. Name one with --data.")
    return folder


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite.DataError as error:
        raise Refused(str(error)) from None


@contextmanager
def _progress(what: str) -> Iterator[Step]:
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield step
