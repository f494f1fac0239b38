"""Whose reports are taken, who may read them, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.kernel.errors import (
    AppError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Unavailable,
)
from server.kernel.events import Context
from server.kernel.ids import RoomId, UserId
from signaling.quality.upkeep import DAY_MS, Upkeep
from signaling.quality.wiring import QualityLimits
from storage.memory import MemoryStore, open_memory
from tests.support.call_windows import TEN_S, posted
from tests.support.calls_cluster import calls_cluster
from tests.support.calls_house import CallsHouse, calls_house
from tests.support.quality_house import QualityHouse


class Talk:
    """Alice and Bob have talked for a minute; Carol is in no room with them, Dave in theirs."""

    def __init__(self, house: CallsHouse) -> None:
        self.house = house
        self.quality = QualityHouse(house)
        house.room("garden", "alice", "bob", "dave")
        self.alice, self.bob = house.opens("alice"), house.opens("bob")
        self.carol, self.dave = house.opens("carol"), house.opens("dave")
        self.call_id = ""

    async def begins(self) -> None:
        asked = self.house.asks
        joined = await asked(self.alice, "call:start", room_id="garden", media="audio")
        self.call_id = joined["call"]["id"]
        await asked(self.bob, "call:accept", call_id=self.call_id)
        await self.house.passes(60)

    async def ends(self) -> None:
        for each in (self.alice, self.bob):
            await self.house.asks(each, "call:leave", call_id=self.call_id)
        await self.house.settle()

    async def measures(self, ctx: Context, **given: Any) -> Any:
        return await self.quality.measures(ctx, self.call_id, **given)

    async def shown(self, to: Context) -> list[Any]:
        found: list[Any] = (await self.quality.get(to, self.call_id))["participants"]
        return found


@pytest.fixture
def store() -> MemoryStore:
    return open_memory()


@pytest.fixture
async def talk(store: MemoryStore) -> AsyncIterator[Talk]:
    async with calls_house(store) as house:
        talk = Talk(house)
        await talk.begins()
        yield talk


# ---- what is told --------------------------------------------------------------------------------


async def test_what_devices_measured_is_shown_with_its_verdict(talk: Talk) -> None:
    fine = await talk.measures(talk.alice)
    bad = await talk.measures(talk.bob, audio_lost=250, rtt_ms=300.5)

    alice, bob = await talk.shown(talk.alice)

    assert (alice["user_id"], alice["verdict"], alice["mos"]) == ("alice", "good", fine["mos"])
    assert (bob["user_id"], bob["verdict"], bob["mos"]) == ("bob", "bad", bad["mos"])
    assert (bob["rtt_ms"], bob["jitter_ms"], bob["loss"]) == (300.5, 3.0, 0.1515)
    (reason,) = bob["reasons"]
    (window,) = bob["windows"]
    assert reason["reason"] == "loss"
    assert (reason["from"], reason["to"]) == (window["at"], window["at"] + window["ms"])
    assert window["mos"] == bad["mos"]
    assert "limited" not in window
    assert "setup_ms" not in alice


async def test_setup_and_pair_are_kept(talk: Talk) -> None:
    pair = {"local": "relay", "remote": "srflx", "protocol": "udp", "relay_protocol": "tls"}
    await talk.quality.post(talk.bob, talk.call_id, windows=[], setup_ms=412.7, pair=pair)

    (bob,) = await talk.shown(talk.bob)

    assert (bob["setup_ms"], bob["pair"], bob["verdict"]) == (413, pair, "unknown")


async def test_a_report_sent_again_changes_nothing(talk: Talk) -> None:
    window = posted(talk.house.clock.now_ms() - TEN_S, audio_lost=9)

    first = await talk.quality.post(talk.bob, talk.call_id, windows=[window])
    again = await talk.quality.post(talk.bob, talk.call_id, windows=[window, window])

    assert first == again
    assert len((await talk.shown(talk.bob))[0]["windows"]) == 1
    snapshot = talk.quality.part.snapshot()
    assert sum(snapshot["call_mos"]["counts"]) == 1


async def test_reports_that_come_at_once_are_all_kept(talk: Talk) -> None:
    begun = talk.house.clock.now_ms() - 60_000
    windows = [posted(begun + n * TEN_S) for n in range(5)]

    await asyncio.gather(
        *(talk.quality.post(talk.bob, talk.call_id, windows=[each]) for each in windows)
    )

    (bob,) = await talk.shown(talk.bob)
    assert [each["at"] for each in bob["windows"]] == [each["at"] for each in windows]


async def test_a_hanging_freeze_is_cut_to_its_window(talk: Talk) -> None:
    await talk.measures(talk.bob, freezes=1, freeze_ms=60_000, reconnecting_ms=10_000.4)

    (bob,) = await talk.shown(talk.bob)

    assert (bob["freeze_ms"], bob["reconnecting_ms"]) == (TEN_S, TEN_S)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"at": -1}, "windows.at"),
        ({"at": 1}, "windows.at"),
        ({"ms": 0}, "windows.ms"),
        ({"ms": 30_000_000}, "windows.at"),
        ({"ms": 90_000_000}, "windows.ms"),
        ({"audio_lost": -1}, "windows.audio_lost"),
        ({"rtt_ms": 60_001}, "windows.rtt_ms"),
        ({"bps_in": 1e11}, "windows.bps_in"),
        ({"video_received": "9"}, "windows.video_received"),
        ({"limited": "weather"}, "windows.limited"),
        ({"mos": 4.4}, "windows.mos"),
    ],
)
async def test_what_cannot_be_is_refused(talk: Talk, change: dict[str, Any], field: str) -> None:
    window = posted(talk.house.clock.now_ms() - TEN_S) | change

    with pytest.raises(Invalid) as refused:
        await talk.quality.post(talk.bob, talk.call_id, windows=[window])

    assert refused.value.field == field
    assert await talk.shown(talk.bob) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "windows"),
        ({"windows": [], "setup_ms": -1}, "setup_ms"),
        ({"windows": [], "score": 5}, "score"),
        ({"windows": [], "pair": {"local": "host", "remote": "host"}}, "pair.protocol"),
        (
            {"windows": [], "pair": {"local": "me", "remote": "host", "protocol": "udp"}},
            "pair.local",
        ),
        ({"windows": [posted(n * TEN_S) for n in range(31)]}, "windows"),
    ],
)
async def test_a_report_has_its_shape(talk: Talk, body: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await talk.quality.post(talk.bob, talk.call_id, **body)

    assert refused.value.field == field


async def test_who_reports_too_often_waits(talk: Talk) -> None:
    for _ in range(20):
        await talk.measures(talk.bob)

    with pytest.raises(RateLimited) as refused:
        await talk.measures(talk.bob)

    assert refused.value.retry_after_s == 1.0
    await talk.measures(talk.alice)


async def test_without_limits_nobody_waits(talk: Talk) -> None:
    free = QualityHouse(talk.house, limits=QualityLimits(posts_per_s=0))

    for _ in range(60):
        await free.measures(talk.bob, talk.call_id)
        await free.get(talk.bob, talk.call_id)


# ---- who -----------------------------------------------------------------------------------------


async def test_only_devices_of_the_call_report(talk: Talk) -> None:
    laptop = talk.house.opens("bob.laptop")

    for ctx, error in ((talk.dave, Forbidden), (laptop, Forbidden), (talk.carol, NotFound)):
        with pytest.raises(error):
            await talk.measures(ctx)
    assert await talk.shown(talk.alice) == []


async def test_members_read_and_strangers_do_not_know_it(talk: Talk) -> None:
    await talk.measures(talk.bob)
    talk.house.rooms.public.add(RoomId("garden"))

    assert len(await talk.shown(talk.dave)) == 1
    with pytest.raises(NotFound):
        await talk.shown(talk.carol)
    with pytest.raises(NotFound):
        await talk.quality.get(talk.alice, "call-of-nobody")


async def test_one_who_was_removed_neither_reads_nor_reports(talk: Talk) -> None:
    await talk.measures(talk.bob)
    del talk.house.rooms.members[RoomId("garden")][UserId("bob")]

    with pytest.raises(NotFound):
        await talk.shown(talk.bob)
    with pytest.raises(NotFound):
        await talk.measures(talk.bob)


async def test_one_who_is_blocked_does_not_read(talk: Talk) -> None:
    del talk.house.rooms.members[RoomId("garden")][UserId("dave")]
    talk.house.rooms.silent.add(UserId("bob"))

    with pytest.raises(NotFound):
        await talk.shown(talk.bob)
    assert await talk.shown(talk.alice) == []


# ---- after the end, and elsewhere ----------------------------------------------------------------


async def test_the_rest_is_told_after_the_end(talk: Talk) -> None:
    at = talk.house.clock.now_ms() - TEN_S
    await talk.ends()
    await talk.house.passes(200)

    await talk.quality.post(talk.bob, talk.call_id, windows=[posted(at)])

    assert len(await talk.shown(talk.alice)) == 1
    with pytest.raises(Invalid):
        await talk.measures(talk.alice)
    await talk.house.passes(120)
    with pytest.raises(Conflict):
        await talk.quality.post(talk.bob, talk.call_id, windows=[posted(at)])


@pytest.mark.parametrize("ended", [False, True])
async def test_another_process_knows_the_call_too(talk: Talk, *, ended: bool) -> None:
    """One with the API only, or after a restart: it finds the call in the store."""
    if ended:
        await talk.ends()
    other = QualityHouse(talk.house, carries=False)

    await talk.measures(talk.alice)
    await other.measures(talk.bob, talk.call_id)

    assert len(await talk.shown(talk.alice)) == 2
    assert await other.get(talk.dave, talk.call_id) == await talk.quality.get(
        talk.dave, talk.call_id
    )
    with pytest.raises(Forbidden):
        await other.measures(talk.dave, talk.call_id)
    with pytest.raises(NotFound):
        await other.get(talk.carol, talk.call_id)


async def test_reports_of_one_device_may_come_to_several_nodes() -> None:
    async with calls_cluster() as cluster:
        cluster.room("garden", "alice", "bob")
        nodes = one, two, _ = await cluster.starts("one", "two", "three")
        alice, bob = one.opens("alice"), two.opens("bob")
        joined = await one.asks(alice, "call:start", room_id="garden", media="audio")
        call_id = joined["call"]["id"]
        await two.asks(bob, "call:accept", call_id=call_id)
        await cluster.passes(60)
        qualities = [QualityHouse(node) for node in nodes]
        begun = cluster.clock.now_ms() - 60_000
        windows = [posted(begun + n * TEN_S) for n in range(3)]

        for _ in range(2):
            await asyncio.gather(
                *(
                    q.post(bob, call_id, windows=[w])
                    for q, w in zip(qualities, windows, strict=True)
                )
            )

        for quality in qualities:
            (shown,) = (await quality.get(alice, call_id))["participants"]
            assert [each["at"] for each in shown["windows"]] == [each["at"] for each in windows]


async def test_a_call_that_nobody_answered_has_no_record(store: MemoryStore) -> None:
    async with calls_house(store) as house:
        house.room("duo", "alice", "bob")
        alice = house.opens("alice")
        joined = await house.asks(alice, "call:start", room_id="duo", media="audio")
        await house.passes(60)

        with pytest.raises(NotFound):
            await QualityHouse(house, carries=False).get(alice, joined["call"]["id"])


# ---- faults and upkeep ---------------------------------------------------------------------------


async def test_without_the_store_nothing_is_said_to_be_kept(talk: Talk, store: MemoryStore) -> None:
    store.outage = True
    with pytest.raises(Unavailable):
        await talk.measures(talk.bob)
    store.outage = False

    assert await talk.shown(talk.bob) == []


async def test_old_records_go(talk: Talk, store: MemoryStore) -> None:
    await talk.measures(talk.bob)
    await talk.ends()
    clock = talk.house.clock
    upkeep = Upkeep(store.call_quality, clock=clock, leads=lambda: True, days=30)

    clock.advance(29 * DAY_MS / 1000)
    assert await upkeep.sweep() == 0
    clock.advance(2 * DAY_MS / 1000)
    assert await upkeep.sweep() == 2

    with pytest.raises(AppError):
        await QualityHouse(talk.house, carries=False).get(talk.bob, talk.call_id)


async def test_the_numbers_tell_setup_path_and_score(talk: Talk) -> None:
    pair = {"local": "relay", "remote": "relay", "protocol": "udp", "relay_protocol": "tcp"}
    window = posted(talk.house.clock.now_ms() - TEN_S, freezes=2, reconnecting_ms=1_500)
    for _ in range(2):
        await talk.quality.post(talk.bob, talk.call_id, windows=[window], setup_ms=300, pair=pair)

    numbers = talk.quality.part.snapshot()

    assert numbers["call_paths_total"] == {"label": "path", "values": {"relay_tcp": 1}}
    assert (numbers["call_freezes_total"], numbers["call_reconnecting_seconds_total"]) == (2, 1.5)
    for name in ("call_setup_seconds", "call_mos", "call_loss_ratio", "call_rtt_seconds"):
        assert sum(numbers[name]["counts"]) == 1
