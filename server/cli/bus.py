"""Facts that wait and facts that were given up, also while the server runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from server.cli.terms import Refused, say
from server.compose import open_folder
from server.kernel.clock import System
from server.kernel.config import Config
from server.kernel.json import encode
from server.kernel.logs import configure_logs
from storage.api import Bus, DeadLetter
from storage.api.bus import BusLimits

PAGE = 500


def status(config: Config) -> None:
    async def work(bus: Bus) -> None:
        waiting = await bus.waiting()
        dead = Counter([letter.group async for letter in _letters(bus, None)])
        say(f"{'group':<24} {'waiting':>9} {'dead':>9}")
        for group in sorted(waiting.keys() | dead.keys()):
            shown = str(waiting[group]) if group in waiting else "left"
            say(f"{group:<24} {shown:>9} {dead[group]:>9}")

    _with_bus(config, work)


def dead(config: Config, *, group: str | None, limit: int, as_json: bool) -> None:
    async def work(bus: Bus) -> None:
        left = limit
        async for letter in _letters(bus, group):
            if left == 0:
                say("... and more: ask for them with --limit.") if not as_json else None
                break
            left -= 1
            say(encode(letter).decode() if as_json else _line(letter))

    _with_bus(config, work)


def replay(config: Config, ids: list[str], *, group: str | None, every: bool) -> None:
    async def work(bus: Bus) -> None:
        count = await _with_each(bus, ids, group, every, bus.replay)
        say(f"{count} go to their groups again.")

    _with_bus(config, work)


def drop(config: Config, ids: list[str], *, group: str | None, every: bool) -> None:
    async def work(bus: Bus) -> None:
        count = await _with_each(bus, ids, group, every, bus.drop)
        say(f"{count} dead letters are gone.")

    _with_bus(config, work)


def leave(config: Config, group: str) -> None:
    async def work(bus: Bus) -> None:
        waiting = await bus.waiting()
        if group not in waiting:
            raise Refused(f"There is no group {group!r}. `hubbub bus status` names them.")
        await bus.leave(group)
        say(f"{group} is no group any more; {waiting[group]} facts that waited for it are gone.")

    _with_bus(config, work, beside=False)


async def _with_each(
    bus: Bus,
    ids: list[str],
    group: str | None,
    every: bool,
    act: Callable[[list[str]], Awaitable[int]],
) -> int:
    """Those that are there now: one that dies again meanwhile has another id."""
    if bool(ids) == every:
        raise Refused("Name dead letters by their ids, or take --all (with --group: of a group).")
    chosen = [letter.id async for letter in _letters(bus, group)] if every else ids
    starts = range(0, len(chosen), PAGE)
    return sum([await act(chosen[start : start + PAGE]) for start in starts])


async def _letters(bus: Bus, group: str | None) -> AsyncIterator[DeadLetter]:
    after: str | None = None
    while page := await bus.dead(group=group, after=after, limit=PAGE):
        for letter in page:
            yield letter
        after = page[-1].id


def _line(letter: DeadLetter) -> str:
    at = datetime.fromtimestamp(letter.died_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    told = " ".join(f"{key}={value}" for key, value in letter.fact.data.items())
    return (
        f"{letter.id}  {at}  {letter.group}  {letter.fact.name}  "
        f"{letter.attempts} attempts  {letter.reason}  {told}"
    )


def _with_bus(
    config: Config, work: Callable[[Bus], Awaitable[None]], *, beside: bool = True
) -> None:
    """`beside`: also while a server has the folder."""
    if not config.clustered and not Path(config.server.data).is_dir():
        raise Refused(f"There is no data folder {config.server.data}. Name one with --data.")
    configure_logs("warning", config.logging.format)

    async def run() -> None:
        async with _opened(config, beside) as bus:
            await work(bus)

    asyncio.run(run())


@asynccontextmanager
async def _opened(config: Config, beside: bool) -> AsyncIterator[Bus]:
    if config.clustered:
        from storage.redis.bus import RedisBus

        limits = BusLimits(config.bus.waiting, config.bus.dead)
        shared = RedisBus(config.redis, System(), limits)
        try:
            yield shared
        finally:
            await shared.close()
        return
    from storage.sqlite import SqliteStore

    store = await open_folder(config, beside=beside)
    assert isinstance(store, SqliteStore)
    try:
        yield store.bus
    finally:
        await store.close()
