"""A cluster put to the proof: what can happen to each of its parts, and its log past all hubs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from server.compose.stores import open_store
from server.kernel.ids import RoomId, Seq
from storage.api import Event
from tests.faults.history.nemesis import Deed, Fault
from tests.faults.history.record import Final, Record, Row
from tests.support.cluster import Cluster
from tests.support.hubs import Hub
from tests.support.links import Link
from tests.support.servers.cassandra import Node

STORE_PAGE = 500
WHOLE_S = 180.0
TOKENED = ("message", "edit", "delete")
HOUR_S = 3600


class ClusterSubject:
    """`frozen_s`: how long SIGSTOP lasts; the other faults last from 0 to 6 seconds, a clock is
    wrong for twice as long."""

    def __init__(self, cluster: Cluster, *, frozen_s: float = 10.0) -> None:
        self._cluster = cluster
        self._frozen_s = frozen_s

    @property
    def urls(self) -> Sequence[str]:
        return self._cluster.urls

    @property
    def faults(self) -> Sequence[Fault]:
        cluster = self._cluster
        faults = [fault for hub in cluster.hubs for fault in self._hub(hub)]
        faults += self._redis()
        faults += self._postgres()
        if cluster.stores.cassandra is not None:
            nodes = cluster.stores.cassandra.nodes
            faults += [fault for node in nodes for fault in self._cassandra(node)]
        for (end, store), link in cluster.wires.items():
            faults += _cuts(f"{end}'s link to {store}", store, link)
        if cluster.shape.clock:
            hub = cluster.hubs[-1]
            faults.append(
                Fault(f"{hub.name}'s clock an hour ahead", "clock", "clock", 2 * self._frozen_s,
                      _call(hub.set_clock, HOUR_S), _call(hub.set_clock, 0))
            )  # fmt: skip
        return faults

    def _hub(self, hub: Hub) -> list[Fault]:
        async def start() -> None:
            await _insist(hub.start)

        process = hub.process
        return [
            Fault(f"kill -9 {hub.name}", "hub", "hub", 3.0, _call(process.kill), start),
            Fault(f"freeze {hub.name}", "hub", "hub", self._frozen_s, _call(process.freeze),
                  _call(process.thaw)),
        ]  # fmt: skip

    def _redis(self) -> list[Fault]:
        redis = self._cluster.stores.redis
        process = redis.process
        return [
            Fault("kill -9 Redis", "redis", "redis", 3.0, _call(process.kill), _call(redis.start)),
            Fault("freeze Redis", "redis", "redis", self._frozen_s, _call(process.freeze),
                  _call(process.thaw)),
            Fault("FLUSHALL", "redis", "redis", 0.0, _call(redis.flush_all), _nothing),
        ]  # fmt: skip

    def _postgres(self) -> list[Fault]:
        postgres = self._cluster.stores.postgres
        return [
            Fault("kill -9 PostgreSQL", "postgres", "postgres", 2.0, _call(postgres.kill),
                  _call(postgres.start)),
            Fault("freeze PostgreSQL", "postgres", "postgres", self._frozen_s,
                  _call(postgres.freeze), _call(postgres.thaw)),
        ]  # fmt: skip

    def _cassandra(self, node: Node) -> list[Fault]:
        async def start() -> None:
            await _insist(node.start)

        process, name = node.process, f"Cassandra {node.host}"
        return [
            Fault(f"kill -9 {name}", "cassandra", "cassandra", 4.0, _call(process.kill), start),
            Fault(f"freeze {name}", "cassandra", "cassandra", self._frozen_s, _call(process.freeze),
                  _call(process.thaw)),
        ]  # fmt: skip

    async def whole(self) -> None:
        await self._cluster.ready(WHOLE_S)

    async def read_store(self, rooms: Iterable[str]) -> Iterable[Record]:
        store = await open_store(self._cluster.stores.config())
        finals: list[Record] = []
        try:
            for room in rooms:
                more, after = True, 0
                while more:
                    rows, more = await store.log.read(
                        RoomId(room), after=Seq(after), limit=STORE_PAGE
                    )
                    told = tuple(map(_row, rows))
                    after = told[-1].seq if told else after
                    finals.append(Final(time.monotonic_ns(), "store", room, after, told))
        finally:
            await store.close()
        return finals


def _row(event: Event) -> Row:
    token = event.client_id if event.type in TOKENED else ""
    return Row(event.seq, event.id, event.at, "", "", token or "", event.type, bool(event.gone))


def _cuts(name: str, store: str, link: Link) -> list[Fault]:
    part = "cassandra" if store == "clients" else store
    return [
        Fault(
            f"{name} is a black hole", part, "link", 6.0, _call(link.blackhole), _call(link.heal)
        ),
        Fault(f"{name} is refused", part, "link", 3.0, _call(link.refuse), _call(link.heal)),
        Fault(f"{name} is reset", part, "link", 0.0, _call(link.reset), _nothing),
        Fault(
            f"{name} answers late",
            part,
            "link",
            6.0,
            _call(link.delay, 0.2, "down"),
            _call(link.heal),
        ),
    ]


def _call(deed: Callable[..., object], *arguments: object) -> Deed:
    """Deeds of links belong to the loop; those of processes block for a moment, in a thread."""

    async def done() -> None:
        if isinstance(getattr(deed, "__self__", None), Link):
            deed(*arguments)
        else:
            await asyncio.to_thread(deed, *arguments)

    return done


async def _nothing() -> None:
    return


async def _insist(start: Callable[[], None]) -> None:
    """As a supervisor does: what cannot start now (its store is away too) is started again."""
    give_up = time.monotonic() + WHOLE_S
    while True:
        try:
            return await asyncio.to_thread(start)
        except RuntimeError:
            if time.monotonic() > give_up:
                raise
        await asyncio.sleep(1.0)
