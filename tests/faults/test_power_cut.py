"""P1-P3 at the store: whenever the power goes, what was acknowledged is there once, in order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from server.kernel.clock import Virtual
from server.kernel.errors import Unavailable
from server.kernel.ids import LogId, RoomId, Seq
from storage.api import Batch, Event, PutReceipt, Store
from storage.sqlite import checkpoints, open_sqlite
from tests.support.power_cut import Disk
from tests.support.stores import ALICE, batch, claim, event

ROOMS = [RoomId(name) for name in ("garden", "kitchen", "attic")]


@dataclass
class Sender:
    """Appends in bursts and notes what became of each command."""

    store: Store
    chance: random.Random
    acked: dict[str, tuple[RoomId, int]] = field(default_factory=dict)
    unsure: dict[str, RoomId] = field(default_factory=dict)
    heads: Counter[RoomId] = field(default_factory=Counter)
    made: int = 0

    async def send_until_the_power_goes(self) -> None:
        while not self.unsure:
            burst = [self.send() for _ in range(self.chance.randint(1, 12))]
            await asyncio.gather(*burst)

    def send(self) -> asyncio.Task[None]:
        room = self.chance.choice(ROOMS)
        size = self.chance.choice([1, 1, 1, 4])
        head = self.heads[room]
        self.heads[room] += size
        events = [self.next_event(room, head + 1 + i) for i in range(size)]
        return asyncio.ensure_future(self.settle(room, batch(*events, room_id=room)))

    def next_event(self, room: RoomId, seq: int) -> Event:
        self.made += 1
        words = {"body": "x" * self.chance.choice([10, 300, 9_000])}
        name = f"command-{self.made}"
        return event(seq, room_id=room, client_id=name, id=name, content=words)

    async def settle(self, room: RoomId, sent: Batch) -> None:
        try:
            appended = self.store.log.append(sent)
            marks = PutReceipt(ALICE, sent.events[-1].seq)
            folded = self.store.projections.apply(
                room, from_seq=sent.if_head, to_seq=sent.events[-1].seq, changes=(marks,)
            )
            outcomes = await asyncio.gather(appended, folded, return_exceptions=True)
        except Unavailable as error:
            outcomes = [error, error]
        for row in sent.events:
            assert row.client_id is not None
            if outcomes[0] is None:
                self.acked[row.client_id] = (room, row.seq)
            else:
                self.unsure[row.client_id] = room


async def make_rooms(store: Store) -> None:
    for room in ROOMS:
        await store.log.create(room, LogId("log-1"))


async def whole_log(store: Store, room: RoomId) -> list[Event]:
    rows, more = await store.log.read(room, limit=100_000, max_bytes=1 << 30)
    assert not more
    return rows


async def resend(store: Store, room: RoomId, client_id: str) -> None:
    """What chat does with a command it sees (again)."""
    head = (await store.log.heads([room]))[room].head
    if await store.log.claims(room, [(ALICE, client_id)]):
        return
    row = event(head + 1, room_id=room, client_id=client_id, id=client_id)
    assert await store.log.append(batch(row, room_id=room)) is None


@pytest.mark.parametrize("seed", range(50))
async def test_after_a_power_cut_every_acknowledged_event_is_there_once(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(checkpoints, "BUSY_WEIGHT", chance.choice([30, 200, 16_000]))
    disk = Disk(f"power-cut-{seed}", seed)
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    await make_rooms(store)
    sender = Sender(store, chance)
    disk.writes_left = chance.randint(1, 400)

    await sender.send_until_the_power_goes()
    await store.close()
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    logs = {room: await whole_log(store, room) for room in ROOMS}

    there = {row.client_id: (room, row.seq) for room, rows in logs.items() for row in rows}
    assert sender.acked.items() <= there.items()
    assert there.keys() <= sender.acked.keys() | sender.unsure.keys()
    for room, rows in logs.items():
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        assert (await store.projections.applied([room]))[room] == len(rows)

    for client_id, room in {
        **sender.unsure,
        **{c: r for c, (r, _) in sender.acked.items()},
    }.items():
        await resend(store, room, client_id)

    after = [row for room in ROOMS for row in await whole_log(store, room)]
    counts = Counter(row.client_id for row in after)
    assert counts == Counter(dict.fromkeys(sender.acked.keys() | sender.unsure.keys(), 1))
    await store.close()


async def test_a_claim_and_its_event_survive_together(tmp_path: Path) -> None:
    disk = Disk("together", 7)
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    await make_rooms(store)
    await store.log.append(batch(event(1)))

    disk.cut_power()
    await store.close()
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)

    assert await store.log.claims(ROOMS[0], [(ALICE, "client-1")]) == {
        (ALICE, "client-1"): claim(1)
    }
    assert (await store.log.rows(ROOMS[0], [Seq(1)]))[Seq(1)] == event(1)
    await store.close()


async def test_an_acknowledgement_waits_for_the_disk(tmp_path: Path) -> None:
    disk = Disk("syncs", 7)
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    await make_rooms(store)
    before = disk.syncs

    await store.log.append(batch(event(1)))

    assert disk.syncs > before
    await store.close()


async def test_what_waits_together_is_synced_together(tmp_path: Path) -> None:
    disk = Disk("groups", 7)
    store = await open_sqlite(tmp_path, clock=Virtual(), vfs=disk.name)
    await make_rooms(store)
    before = disk.syncs

    await asyncio.gather(*(store.log.append(batch(event(seq))) for seq in range(1, 101)))

    assert disk.syncs - before <= 2
    await store.close()
