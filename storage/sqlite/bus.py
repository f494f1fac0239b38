"""Facts in SQLite: an outbox beside the logs; an append and its facts are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apsw
import msgspec

from server.kernel.clock import Clock
from server.kernel.json import encode
from server.kernel.logs import get_logger
from storage.api.bus import (
    MOST_TAKEN,
    BusLimits,
    DeadLetter,
    Delivery,
    Fact,
    is_wanted,
)
from storage.sqlite import outbox
from storage.sqlite.connection import CANNOT_SERVE, ask, listed
from storage.sqlite.readers import Readers
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Writer

COUNT_EVERY = 4_096
"""So many facts are told before a queue's length is looked at (30 ms for a million rows)."""

log = get_logger(__name__)

_fact = msgspec.json.Decoder(Fact)


@dataclass(slots=True)
class Group:
    """`changed` is there while somebody waits for it: set, and taken away, when something was put
    into the queue or postponed.
    """

    name: str
    key: int
    wants: tuple[str, ...]
    changed: asyncio.Event | None = None

    def wake(self) -> None:
        if self.changed is not None:
            self.changed.set()
            self.changed = None

    def watch(self) -> asyncio.Event:
        self.changed = self.changed or asyncio.Event()
        return self.changed


def load_groups(connection: apsw.Connection) -> list[Group]:
    rows = ask(connection, "SELECT name, key, wants FROM bus_groups")
    return [Group(name, key, tuple(msgspec.json.decode(wants))) for name, key, wants in rows]


def end_leases(connection: apsw.Connection) -> None:
    """For who has the folder alone: whoever took facts is dead. What was postponed comes too."""
    try:
        connection.execute("UPDATE outbox SET due = 1 WHERE due > 0")
    except CANNOT_SERVE as error:  # a full disk keeps no server from starting: leases end anyway
        log.warning("bus.leases_kept", error=type(error).__name__)


class SqliteBus:
    """Implements `storage.api.Bus`. The groups are kept in memory: only one process publishes; one
    that comes beside it looks at dead letters and replays them.
    """

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        *,
        clock: Clock,
        groups: Iterable[Group],
        limits: BusLimits | None = None,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._limits = limits or BusLimits()
        self._groups = {group.name: group for group in groups}
        self._wanting: dict[str, tuple[Group, ...]] = {}
        self._uncounted = 0

    # ---- for who tells --------------------------------------------------------------------------

    def wants(self, name: str | None = None) -> bool:
        return bool(self._groups) and (name is None or bool(self._who_wants(name)))

    def publish(
        self, facts: Sequence[Fact], *, after: asyncio.Future[Any] | None = None
    ) -> Awaitable[None]:
        rows = self._rows(facts) if self._groups else []
        if not rows:
            return _nothing()
        job = None if after is None else self._writer.this_turns(after)
        if after is not None and job is None:
            return self._publish_after(facts, after)
        told = self._writer.submit(partial(outbox.tell, rows, job), alone=False)
        told.add_done_callback(partial(self._told, len(rows)))
        return told

    async def _publish_after(self, facts: Sequence[Fact], after: asyncio.Future[Any]) -> None:
        if await asyncio.shield(after) is None:
            await self.publish(facts)

    def _rows(self, facts: Sequence[Fact]) -> list[tuple[int, str]]:
        rows = []
        for fact in facts:
            wanting = self._who_wants(fact.name)
            if wanting:
                text = encode(fact).decode()
                rows += [(group.key, text) for group in wanting]
        return rows

    def _who_wants(self, name: str) -> tuple[Group, ...]:
        found = self._wanting.get(name)
        if found is None:
            groups = self._groups.values()
            found = tuple(group for group in groups if is_wanted(name, group.wants))
            self._wanting[name] = found
        return found

    def _told(self, rows: int, told: asyncio.Future[None]) -> None:
        if told.cancelled() or told.exception() is not None:
            return
        for group in self._groups.values():
            group.wake()
        self._uncounted += rows
        if self._uncounted >= COUNT_EVERY:
            self._uncounted = 0
            groups = [(group.name, group.key) for group in self._groups.values()]
            self._writer.submit(partial(outbox.cut, groups, self._clock.now_ms(), self._limits))

    # ---- for workers ----------------------------------------------------------------------------

    async def join(self, group: str, wants: Collection[str] = ("*",)) -> None:
        wanted = tuple(wants)
        there = self._groups.get(group)
        if there is not None and there.wants == wanted:
            return

        def join(tx: Transaction) -> int:
            tx.execute(outbox.JOIN, (group, listed(wanted)))
            key: int = tx.ask("SELECT key FROM bus_groups WHERE name = ?", (group,))[0][0]
            return key

        key = await self._writer.submit(join)
        self._groups[group] = Group(group, key, wanted)
        self._wanting.clear()

    async def leave(self, group: str) -> None:
        there = self._groups.pop(group, None)
        self._wanting.clear()
        if there is None:
            return
        there.wake()

        def leave(tx: Transaction) -> None:
            tx.execute("DELETE FROM outbox WHERE grp = ?", (there.key,))
            tx.execute("DELETE FROM bus_groups WHERE key = ?", (there.key,))

        await self._writer.submit(leave)

    async def take(
        self, group: str, consumer: str, *, limit: int, wait_s: float, lease_s: float
    ) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + wait_s
        while True:
            there, now_ms = self._groups[group], self._clock.now_ms()
            changed = there.watch()
            job = partial(
                outbox.take, there.key, min(limit, MOST_TAKEN), now_ms, round(lease_s * 1000)
            )
            rows, next_ms = await self._writer.submit(job)
            left = give_up - loop.time()
            if rows or left <= 0:
                return [Delivery(str(pos), _fact.decode(text), n) for pos, text, n in rows]
            if next_ms is not None:
                left = min(left, max(0.001, (next_ms - now_ms) / 1000))
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                continue

    async def done(self, group: str, handles: Collection[str]) -> None:
        there = self._groups.get(group)
        if there is not None:
            params = (there.key, outbox.numbers(handles))
            await self._writer.submit(lambda tx: tx.execute(outbox.DONE, params))

    async def postpone(self, group: str, delays_s: Mapping[str, float]) -> None:
        there = self._groups.get(group)
        if there is None:
            return
        now_ms = self._clock.now_ms()
        rows = [
            (now_ms + round(delay_s * 1000), there.key, int(handle))
            for handle, delay_s in delays_s.items()
        ]

        def postpone(tx: Transaction) -> None:
            for row in rows:
                tx.execute(outbox.POSTPONE, row)

        await self._writer.submit(postpone)
        there.wake()

    async def bury(self, group: str, deliveries: Collection[Delivery], reason: str) -> None:
        there = self._groups.get(group)
        if there is not None:
            handles = outbox.numbers(delivery.handle for delivery in deliveries)
            now_ms, limits = self._clock.now_ms(), self._limits
            await self._writer.submit(
                lambda tx: outbox.bury(
                    tx, group, there.key, handles, reason=reason, now_ms=now_ms, most=limits.dead
                )
            )

    # ---- for who looks --------------------------------------------------------------------------

    async def dead(
        self, *, group: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        start = int(after) if after is not None and after.isdecimal() else 0
        rows = await self._readers.run(lambda db: ask(db, outbox.DEAD, (start, group, limit)))
        return [
            DeadLetter(str(number), name, _fact.decode(text), attempts, reason, died_at)
            for number, name, text, attempts, reason, died_at in rows
        ]

    async def replay(self, ids: Collection[str]) -> int:
        params = (outbox.numbers(ids),)

        def replay(tx: Transaction) -> int:
            tx.execute(outbox.REPLAY, params)
            return tx.execute(outbox.REPLAYED, params)

        count = await self._writer.submit(replay)
        for there in self._groups.values():
            there.wake()
        return count

    async def drop(self, ids: Collection[str]) -> int:
        params = (outbox.numbers(ids),)
        return await self._writer.submit(lambda tx: tx.execute(outbox.DROP, params))

    async def waiting(self) -> dict[str, int]:
        return dict(await self._readers.run(lambda db: ask(db, outbox.WAITING)))


def _nothing() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
