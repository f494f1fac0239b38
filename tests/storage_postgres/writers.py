"""Writers that append to rooms until they are told to stop, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.kernel.errors import Unavailable
from server.kernel.ids import EventId, LogId, RoomId, Seq
from storage.api import Batch, Claim, RoomLog
from tests.support.stores import ALICE, event

PAUSE_S = 0.02


@dataclass
class Tally:
    """`acked`: client ids by room. `slowest_s`: of all calls, whatever their end."""

    acked: dict[RoomId, list[str]] = field(default_factory=dict)
    unavailable: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    stopped: bool = False

    @property
    def total(self) -> int:
        return sum(len(ids) for ids in self.acked.values())


def one(room: RoomId, seq: int, client_id: str) -> Batch:
    made = event(
        seq, room_id=room, client_id=client_id, id=EventId(f"id-{client_id}"), log_id=LogId("log")
    )
    claim = Claim(ALICE, client_id, made.seq, b"d" * 16, made.at)
    return Batch(room, Seq(seq - 1), (made,), (claim,))


class Writer:
    """Sends commands to one room, each until it is acknowledged or found among the claims."""

    def __init__(self, log: RoomLog, room: RoomId, name: str, tally: Tally) -> None:
        self._log, self._room, self._name, self._tally = log, room, name, tally
        self._head: Seq | None = None

    async def run(self) -> None:
        number = 0
        while not self._tally.stopped:
            number += 1
            client_id = f"{self._name}-{number}"
            while not await self._send(client_id):
                if self._tally.stopped:
                    return
            self._tally.acked.setdefault(self._room, []).append(client_id)

    async def _send(self, client_id: str) -> bool:
        started = time.monotonic()
        try:
            if self._head is None:
                self._head = (await self._log.heads([self._room]))[self._room].head
                started = time.monotonic()
            refused = await self._log.append(one(self._room, self._head + 1, client_id))
        except Unavailable:
            self._tally.unavailable += 1
            self._head = None
            await asyncio.sleep(PAUSE_S)
            return False
        finally:
            took = time.monotonic() - started
            self._tally.slowest_s = max(self._tally.slowest_s, took)
        if refused is None:
            self._head = Seq(self._head + 1)
            return True
        self._tally.refused += 1
        self._head = refused.head
        return (ALICE, client_id) in refused.taken


async def check_rooms(log: RoomLog, tally: Tally, rooms: Sequence[RoomId]) -> None:
    """All that was acknowledged is there, once; no hole, no double; claims point at their rows."""
    for room in rooms:
        rows = []
        more = True
        while more:
            page, more = await log.read(room, after=Seq(len(rows)), limit=1000)
            rows += page
        ids = [row.client_id for row in rows]
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        assert len(set(ids)) == len(ids)
        assert set(tally.acked.get(room, ())) <= set(ids)
        claims = await log.claims(room, [(ALICE, name) for name in ids if name is not None])
        assert {claim.client_id: claim.seq for claim in claims.values()} == {
            row.client_id: row.seq for row in rows
        }
