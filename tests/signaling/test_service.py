"""Calls as sockets see them: names, shapes, order, permissions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from media.turn.credentials import ticket_password
from server.kernel.errors import AppError, Forbidden, Invalid, NotFound, TooLarge
from server.kernel.ids import RoomId, UserId
from signaling.shapes import AcceptCall, MuteTrack, StartCall
from signaling.wiring import turn_secret
from tests.support.calls_house import STUN, TURN, CallsHouse, calls_house


@pytest.fixture
async def house() -> AsyncIterator[CallsHouse]:
    async with calls_house() as opened:
        opened.room("duo", "alice", "bob")
        opened.room("garden", "alice", "bob", "carol")
        yield opened


async def test_a_call_from_start_to_its_event_in_the_log(house: CallsHouse) -> None:
    alice, bob, laptop = house.opens("alice"), house.opens("bob"), house.opens("bob.laptop")

    started = await house.asks(alice, "call:start", room_id="duo", media="video")
    rung = house.socket(laptop).named("call:ringing")
    call_id = started["call"]["id"]
    accepted = await house.asks(bob, "call:accept", call_id=call_id)
    await house.asks(bob, "call:leave", call_id=call_id)

    assert rung == [{"call": started["call"], "expires_at": house.clock.now_ms() + 45_000}]
    assert started["call"] == {
        "id": call_id,
        "room_id": "duo",
        "media": "video",
        "mode": "p2p",
        "generation": 1,
        "state": "ringing",
        "started_by": "alice",
        "started_at": house.clock.now_ms(),
        "participants": [{"user_id": "alice", "device_id": "alice", "tracks": []}],
        "revision": 1,
    }
    camera = {"track_id": "camera", "kind": "video", "source": "camera", "muted": False}
    assert camera in accepted["call"]["participants"][1]["tracks"]
    assert house.states(alice) == [("ringing", None), ("active", None), ("ended", "hung_up")]
    assert house.states(laptop)[1:] == [("active", "answered_elsewhere"), ("ended", "hung_up")]
    assert [record.call_id for record in house.log.records] == [call_id]
    assert house.log.records[0].content["outcome"] == "hung_up"
    assert await house.store.calls.all() == []


async def test_what_was_before_an_answer_is_heard_before_it(house: CallsHouse) -> None:
    """Two commands in one turn of the loop: the first one's state is none of after the second."""
    alice, bob = house.opens("alice"), house.opens("bob")
    call_id = (await house.asks(alice, "call:start", room_id="duo", media="video"))["call"]["id"]
    house.rooms.at_once = True
    flushed: list[int] = []
    house.outlet.flush = lambda room_id: flushed.append(len(house.states(bob)))  # type: ignore[method-assign]

    await house.calls.mute(alice, MuteTrack(call_id, "mic", False))
    heard = house.socket(bob).named("call:state")
    await house.calls.accept(bob, AcceptCall(call_id))

    assert house.socket(bob).named("call:state")[len(heard) :][-1]["call"]["state"] == "ringing"
    await house.settle()
    assert house.states(bob)[-1] == ("active", None)
    assert flushed == [2, 2]  # the room's; the third was for Bob's device alone


async def test_tickets_are_what_a_turn_server_with_the_secret_computes(house: CallsHouse) -> None:
    alice = house.opens("alice")

    answer = await house.asks(alice, "call:start", room_id="duo", media="audio")

    stun, turn = answer["ice_servers"]
    assert stun == {"urls": list(STUN)}
    assert turn["urls"] == list(TURN)
    expiry, _, user_id = turn["username"].partition(":")
    assert user_id == "alice"
    assert int(expiry) == house.clock.now_ms() // 1000 + 86_400
    secret = await turn_secret(house.store)
    assert turn["credential"] == ticket_password(secret, turn["username"])


async def test_signals_go_to_the_device_alone_and_in_order(house: CallsHouse) -> None:
    alice, tablet, bob = house.opens("alice"), house.opens("alice.tablet"), house.opens("bob")
    started = await house.asks(alice, "call:start", room_id="duo", media="audio")
    call_id = started["call"]["id"]
    await house.asks(bob, "call:accept", call_id=call_id)

    signals = [{"candidate": number, "ü": None} for number in range(10)]
    asked = [
        house.asks(bob, "call:signal", call_id=call_id, to_device_id="alice", signal=signal)
        for signal in signals
    ]
    await asyncio.gather(*asked)

    heard = house.socket(alice).named("call:signal")
    assert heard == [
        {"call_id": call_id, "from_device_id": "bob", "signal": signal} for signal in signals
    ]
    assert house.socket(tablet).named("call:signal") == []


async def test_the_answer_comes_before_what_it_brings(house: CallsHouse) -> None:
    alice = house.opens("alice")
    event = next(each for each in house.calls.events if each.name == "call:start")
    await event.handler(alice, StartCall("duo", "audio"))

    before = list(house.socket(alice).heard)
    await house.settle()
    assert before == []
    assert [name for name, _ in house.socket(alice).heard] == ["call:state"]


async def test_strangers_do_not_learn_of_calls(house: CallsHouse) -> None:
    alice, carol = house.opens("alice"), house.opens("carol")
    started = await house.asks(alice, "call:start", room_id="duo", media="audio")
    call_id = started["call"]["id"]
    signal = {"to_device_id": "alice", "signal": 1}
    asked: list[tuple[str, dict[str, object]]] = [
        ("call:accept", {}), ("call:decline", {}), ("call:leave", {}), ("call:end", {}),
        ("call:signal", signal), ("call:mute", {"track_id": "mic", "muted": True}),
    ]  # fmt: skip

    for name, payload in asked:
        with pytest.raises(NotFound) as known:
            await house.asks(carol, name, call_id=call_id, **payload)
        with pytest.raises(NotFound) as unknown:
            await house.asks(carol, name, call_id="nothing", **payload)
        assert known.value.to_wire() == unknown.value.to_wire()

    with pytest.raises(NotFound):
        await house.asks(carol, "call:start", room_id="duo", media="audio")
    assert house.socket(carol).heard == []


async def test_in_a_public_room_one_joins_first(house: CallsHouse) -> None:
    alice, eve = house.opens("alice"), house.opens("eve")
    house.rooms.public.add(RoomId("garden"))
    started = await house.asks(alice, "call:start", room_id="garden", media="audio")

    with pytest.raises(Forbidden):
        await house.asks(eve, "call:accept", call_id=started["call"]["id"])


async def test_who_is_blocked_does_not_call(house: CallsHouse) -> None:
    alice, bob = house.opens("alice"), house.opens("bob")
    house.rooms.silent.add(UserId("alice"))

    with pytest.raises(Forbidden):
        await house.asks(alice, "call:start", room_id="duo", media="audio")

    assert house.socket(bob).heard == []


async def test_a_socket_that_closes_while_its_accept_waits_leaves_nobody_in_the_call(
    house: CallsHouse,
) -> None:
    alice, bob = house.opens("alice"), house.opens("bob")
    call_id = (await house.asks(alice, "call:start", room_id="duo", media="audio"))["call"]["id"]

    accepting = asyncio.create_task(house.asks(bob, "call:accept", call_id=call_id))
    await asyncio.sleep(0)
    house.closes(bob)
    await accepting
    await house.passes(seconds=16)

    assert house.states(alice)[1:] == [("active", None), ("ended", "failed")]


async def test_in_a_large_room_only_its_members_see_a_call_that_runs_already(
    house: CallsHouse,
) -> None:
    house.room("hall", "alice", *(f"member{n}" for n in range(40)))
    alice = house.opens("alice")
    await house.asks(alice, "call:start", room_id="hall", media="audio")

    member, stranger = house.opens("member5"), house.opens("bob")
    await house.settle()

    assert house.states(member) == [("active", None)]
    assert house.states(stranger) == []


async def test_a_member_who_was_removed_cannot_come_back(house: CallsHouse) -> None:
    alice, carol = house.opens("alice"), house.opens("carol")
    started = await house.asks(alice, "call:start", room_id="garden", media="audio")
    call_id = started["call"]["id"]
    await house.asks(carol, "call:accept", call_id=call_id)

    del house.rooms.members[RoomId("garden")][UserId("carol")]
    house.outlet.leave(UserId("carol"), RoomId("garden"))
    house.calls.member_out(RoomId("garden"), UserId("carol"))
    await house.settle()

    assert house.states(carol)[-1] == ("active", "hung_up")
    with pytest.raises(NotFound):
        await house.asks(carol, "call:accept", call_id=call_id)
    with pytest.raises(NotFound):
        await house.asks(carol, "call:signal", call_id=call_id, to_device_id="alice", signal=1)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("call:start", {"room_id": "duo"}),
        ("call:start", {"room_id": "duo", "media": "smell"}),
        ("call:start", {"room_id": "duo", "media": "audio", "extra": 1}),
        ("call:accept", {"call_id": ""}),
        ("call:accept", {"call_id": "x", "take_over": 1}),
        ("call:signal", {"call_id": "x", "to_device_id": "y"}),
        ("call:mute", {"call_id": "x", "track_id": "mic", "muted": "yes"}),
    ],
)
async def test_what_does_not_fit_is_invalid(
    house: CallsHouse, name: str, payload: dict[str, object]
) -> None:
    with pytest.raises(Invalid):
        await house.asks(house.opens("alice"), name, **payload)


async def test_what_comes_with_the_sfu_is_not_there(house: CallsHouse) -> None:
    names = {event.name for event in house.calls.events}

    assert names == {
        "call:start", "call:accept", "call:decline", "call:leave", "call:end", "call:signal",
        "call:mute",
    }  # fmt: skip


async def test_a_signal_past_64_kib_is_too_large(house: CallsHouse) -> None:
    alice, bob = house.opens("alice"), house.opens("bob")
    started = await house.asks(alice, "call:start", room_id="duo", media="audio")
    call_id = started["call"]["id"]
    await house.asks(bob, "call:accept", call_id=call_id)

    large = {"to_device_id": "alice", "signal": {"sdp": "x" * 66_000}}
    with pytest.raises(TooLarge) as refused:
        await house.asks(bob, "call:signal", call_id=call_id, **large)

    assert refused.value.field == "signal"


async def test_a_device_that_comes_up_while_it_rings_rings(house: CallsHouse) -> None:
    alice = house.opens("alice")
    await house.asks(alice, "call:start", room_id="duo", media="audio")

    bob = house.opens("bob")
    await house.settle()

    assert [name for name, _ in house.socket(bob).heard] == ["call:ringing"]


async def test_nobody_answers(house: CallsHouse) -> None:
    alice, bob = house.opens("alice"), house.opens("bob")
    await house.asks(alice, "call:start", room_id="duo", media="audio")

    await house.passes(45.5)

    assert house.states(bob)[-1] == ("ended", "no_answer")
    assert house.calls.snapshot()["calls_running"] == 0
    ended = house.calls.snapshot()["calls_ended_total"]
    assert ended == {"label": "reason", "values": {"no_answer": 1}}


async def test_refusals_are_counted_by_their_reason(house: CallsHouse) -> None:
    alice = house.opens("alice")
    started = await house.asks(alice, "call:start", room_id="duo", media="audio")

    with pytest.raises(AppError):
        await house.asks(alice, "call:decline", call_id=started["call"]["id"])

    refused = house.calls.snapshot()["calls_refused_total"]
    assert refused == {"label": "why", "values": {"declines_own": 1}}
