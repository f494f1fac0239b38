"""Calls outlive a hub that is killed, and a store that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from media.planes.fake import FakePlane
from server.kernel.clock import Virtual
from server.kernel.events import Context
from server.kernel.ids import NodeId
from signaling.rules import CallLimits
from storage.api import CallRow
from storage.memory import MemoryStore
from storage.sqlite import open_sqlite
from tests.support.calls_house import CallsHouse, calls_house


@pytest.fixture
async def house() -> AsyncIterator[CallsHouse]:
    async with calls_house() as opened:
        opened.room("duo", "alice", "bob")
        yield opened


async def talk(house: CallsHouse) -> tuple[Context, Context, str]:
    alice, bob = house.opens("alice"), house.opens("bob")
    started = await house.asks(alice, "call:start", room_id="duo", media="audio")
    call_id = started["call"]["id"]
    await house.asks(bob, "call:accept", call_id=call_id)
    return alice, bob, call_id


async def test_after_a_kill_devices_accept_again_and_go_on(house: CallsHouse) -> None:
    _, _, call_id = await talk(house)
    await house.is_killed()
    house.clock.advance(4)
    await house.starts()
    alice, bob = house.opens("alice"), house.opens("bob")

    answers = [await house.asks(each, "call:accept", call_id=call_id) for each in (alice, bob)]
    await house.asks(bob, "call:signal", call_id=call_id, to_device_id="alice", signal="restart")
    await house.passes(30)

    assert [answer["call"]["state"] for answer in answers] == ["active", "active"]
    assert house.socket(alice).named("call:signal")[0]["signal"] == "restart"
    assert house.log.records == []


async def test_a_call_of_which_nobody_came_back_is_logged_once(house: CallsHouse) -> None:
    _, _, call_id = await talk(house)
    await house.is_killed()
    await house.starts()
    await house.passes(10)
    await house.is_killed()
    await house.starts()

    await house.passes(16)

    assert [(r.call_id, r.outcome) for r in house.log.records] == [(call_id, "failed")]
    assert await house.store.calls.all() == []


async def test_an_end_waits_for_the_log_also_over_a_kill(house: CallsHouse) -> None:
    alice, _, call_id = await talk(house)
    house.log.outage = True
    await house.asks(alice, "call:end", call_id=call_id)
    rows = await house.store.calls.all()
    await house.is_killed()
    house.log.outage = False

    await house.starts()

    assert [(row.id, row.running) for row in rows] == [(call_id, False)]
    assert [record.call_id for record in house.log.records] == [call_id]
    assert await house.store.calls.all() == []


async def test_who_calls_again_at_once_is_kept_as_soon_as_the_call_before_is_stored(
    house: CallsHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, may_store = house.store.calls.put, asyncio.Event()

    async def put(row: CallRow) -> bool:
        await may_store.wait()
        return await stored(row)

    monkeypatch.setattr(house.store.calls, "put", put)
    alice, _, first = await talk(house)
    await house.asks(alice, "call:end", call_id=first)
    again = await house.asks(alice, "call:start", room_id="duo", media="audio")

    may_store.set()
    await house.settle()

    assert [row.id for row in await house.store.calls.all()] == [again["call"]["id"]]
    assert [record.call_id for record in house.log.records] == [first]


async def test_while_the_store_is_away_calls_go_on(house: CallsHouse) -> None:
    assert isinstance(house.store, MemoryStore)
    house.store.outage = True

    alice, bob, call_id = await talk(house)

    assert house.states(bob)[-1] == ("active", None)
    assert house.calls.snapshot()["calls_unsaved"] == 1
    house.store.outage = False
    await house.asks(alice, "call:mute", call_id=call_id, track_id="mic", muted=True)


async def test_another_process_that_took_the_call_over_has_it(house: CallsHouse) -> None:
    alice, _, call_id = await talk(house)
    await house.store.calls.take_over(call_id, NodeId(""), NodeId("other"))

    await house.asks(alice, "call:mute", call_id=call_id, track_id="mic", muted=True)

    assert house.calls.snapshot()["calls_running"] == 0
    assert house.log.records == []


@pytest.mark.slow
async def test_what_sqlite_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, clock=Virtual())
    async with calls_house(store) as house:
        house.room("duo", "alice", "bob")
        _, _, call_id = await talk(house)
        await house.calls.close()
    await store.close()

    store = await open_sqlite(tmp_path, clock=Virtual())
    async with calls_house(store) as house:
        house.room("duo", "alice", "bob")
        answer = await house.asks(house.opens("bob"), "call:accept", call_id=call_id)
    await store.close()

    assert answer["call"]["state"] == "active"


async def test_the_plane_hears_of_the_third_participant_and_its_reports_are_heard() -> None:
    plane = FakePlane()
    async with calls_house(limits=CallLimits(sfu=True), plane=plane) as house:
        house.room("garden", "alice", "bob", "carol")
        alice, bob, carol = (house.opens(name) for name in ("alice", "bob", "carol"))
        started = await house.asks(alice, "call:start", room_id="garden", media="audio")
        call_id = started["call"]["id"]
        await house.asks(bob, "call:accept", call_id=call_id)
        answer = await house.asks(carol, "call:accept", call_id=call_id)
        peers = list(plane.peers[call_id])
        plane.dies()
        plane.starts_again()
        await house.settle()
        again = list(plane.peers[call_id])
        plane.fails(call_id, "no_ports")
        await house.settle()

        assert (answer["call"]["mode"], answer["call"]["generation"]) == ("sfu", 2)
        assert peers == again == ["alice", "bob", "carol"]
        assert house.states(carol)[-1] == ("ended", "failed")
        generations = [e["call"]["generation"] for e in house.socket(bob).named("call:state")]
        assert generations == [1, 1, 2, 3, 3]
