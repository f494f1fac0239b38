"""Calls whose devices are at several nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from server.kernel.errors import Conflict, Forbidden, NotFound, Unavailable
from server.kernel.events import Context
from server.kernel.ids import RoomId, UserId
from signaling import relay as relay_module
from tests.support.calls_cluster import CallsCluster, CallsNode, calls_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[CallsCluster]:
    async with calls_cluster() as opened:
        opened.room("duo", "alice", "bob")
        opened.room("garden", "alice", "bob", "carol")
        yield opened


@pytest.fixture
async def nodes(cluster: CallsCluster) -> list[CallsNode]:
    return await cluster.starts("laura", "max", "nina")


Talk = tuple[Context, Context, str]


@pytest.fixture
async def talk(nodes: list[CallsNode]) -> Talk:
    """Alice at the first node calls Bob at the second."""
    laura, max_, _ = nodes
    alice, bob = laura.opens("alice"), max_.opens("bob")
    started = await laura.asks(alice, "call:start", room_id="duo", media="audio")
    call_id = started["call"]["id"]
    await max_.asks(bob, "call:accept", call_id=call_id)
    return alice, bob, call_id


async def test_it_rings_and_is_accepted_at_another_node(
    cluster: CallsCluster, nodes: list[CallsNode]
) -> None:
    laura, max_, nina = nodes
    alice, bob, tablet = laura.opens("alice"), max_.opens("bob"), nina.opens("bob.tablet")

    started = await laura.asks(alice, "call:start", room_id="duo", media="audio")
    rings = [node.socket(ctx).named("call:ringing") for node, ctx in ((max_, bob), (nina, tablet))]
    accepted = await max_.asks(bob, "call:accept", call_id=started["call"]["id"])

    assert [len(each) for each in rings] == [1, 1]
    assert accepted["call"]["state"] == "active"
    assert max_.states(bob)[-1] == ("active", None)
    assert nina.states(tablet)[-1] == ("active", "answered_elsewhere")
    assert cluster.running() == {"laura": ["duo"]}


async def test_an_answer_of_another_node_does_not_overtake_states_that_wait_for_companions(
    nodes: list[CallsNode], talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub sends what comes for a busy room a little later, its answers at once."""
    laura, max_, _ = nodes
    alice, bob, call_id = talk
    to_room, waiting = max_.outlet.to_room, list[Callable[[], None]]()

    def waits(*args: Any, **kwargs: Any) -> None:
        waiting.append(partial(to_room, *args, **kwargs))

    def flush(room_id: RoomId) -> None:
        for deliver in waiting:
            deliver()
        waiting.clear()

    monkeypatch.setattr(max_.outlet, "to_room", waits)
    monkeypatch.setattr(max_.outlet, "flush", flush)

    await laura.asks(alice, "call:mute", call_id=call_id, track_id="mic", muted=True)
    answered = await max_.asks(bob, "call:accept", call_id=call_id)

    heard = [state["call"] for state in max_.socket(bob).named("call:state")]
    assert heard[-1]["revision"] == answered["call"]["revision"]
    assert heard[-1]["participants"][0]["tracks"][0]["muted"] is True


async def test_signals_cross_nodes_in_the_order_sent(nodes: list[CallsNode], talk: Talk) -> None:
    laura, max_, _ = nodes
    alice, bob, call_id = talk

    asked = [
        max_.asks(bob, "call:signal", call_id=call_id, to_device_id="alice", signal=number)
        for number in range(20)
    ]
    await asyncio.gather(*asked)
    await laura.asks(alice, "call:signal", call_id=call_id, to_device_id="bob", signal="back")

    assert [each["signal"] for each in laura.socket(alice).named("call:signal")] == [*range(20)]
    assert [each["signal"] for each in max_.socket(bob).named("call:signal")] == ["back"]


async def test_two_starts_at_two_nodes_are_one_call(
    cluster: CallsCluster, nodes: list[CallsNode]
) -> None:
    laura, max_, _ = nodes
    alice, bob = laura.opens("alice"), max_.opens("bob")

    answers = await asyncio.gather(
        laura.asks(alice, "call:start", room_id="duo", media="audio"),
        max_.asks(bob, "call:start", room_id="duo", media="audio"),
    )

    assert len({answer["call"]["id"] for answer in answers}) == 1
    assert len(cluster.running()) == 1
    assert len(await cluster.store.calls.all()) == 1


async def test_two_starts_at_one_node_are_one_call(
    cluster: CallsCluster, nodes: list[CallsNode]
) -> None:
    laura = nodes[0]
    alice, bob = laura.opens("alice"), laura.opens("bob")

    answers = await asyncio.gather(
        laura.asks(alice, "call:start", room_id="duo", media="audio"),
        laura.asks(bob, "call:start", room_id="duo", media="audio"),
    )

    assert len({answer["call"]["id"] for answer in answers}) == 1
    assert len(await cluster.store.calls.all()) == 1


async def test_refusals_cross_nodes_with_their_code(nodes: list[CallsNode], talk: Talk) -> None:
    _, max_, nina = nodes
    _, bob, call_id = talk
    tablet, carol = nina.opens("bob.tablet"), nina.opens("carol")

    with pytest.raises(Conflict):
        await nina.asks(tablet, "call:accept", call_id=call_id)
    with pytest.raises(Forbidden):
        await max_.asks(bob, "call:end", call_id=call_id)
    with pytest.raises(NotFound):
        await nina.asks(carol, "call:accept", call_id=call_id)
    with pytest.raises(NotFound) as refused:
        await max_.asks(bob, "call:signal", call_id=call_id, to_device_id="carol", signal=1)
    assert refused.value.field == "to_device_id"


async def test_a_device_moves_to_another_node(nodes: list[CallsNode], talk: Talk) -> None:
    laura, max_, nina = nodes
    alice, bob, call_id = talk

    max_.closes(bob)
    await max_.settle()
    await laura.asks(alice, "call:signal", call_id=call_id, to_device_id="bob", signal="held")
    bob = nina.opens("bob")
    await nina.settle()

    assert nina.states(bob) == [("active", None)]
    assert [each["signal"] for each in nina.socket(bob).named("call:signal")] == ["held"]


async def test_a_device_that_comes_up_anywhere_rings(nodes: list[CallsNode]) -> None:
    laura, _, nina = nodes
    alice = laura.opens("alice")
    await laura.asks(alice, "call:start", room_id="duo", media="audio")

    bob = nina.opens("bob")
    await nina.settle()

    assert [name for name, _ in nina.socket(bob).heard] == ["call:ringing"]


async def test_a_socket_whose_end_was_not_heard_is_found_gone(
    cluster: CallsCluster, nodes: list[CallsNode], talk: Talk
) -> None:
    laura, max_, _ = nodes
    alice, bob, _ = talk
    cluster.shared.drop_next(1)
    max_.closes(bob)

    await cluster.passes(5.5 + 15.5)

    assert laura.states(alice)[-1] == ("ended", "failed")
    assert len(cluster.log.records) == 1


async def test_a_node_that_only_had_a_device_dies(
    cluster: CallsCluster, nodes: list[CallsNode], talk: Talk
) -> None:
    laura, max_, nina = nodes
    alice, _, call_id = talk

    await cluster.dies(max_)
    await cluster.passes(3)
    bob = nina.opens("bob")
    await nina.settle()
    answer = await nina.asks(bob, "call:accept", call_id=call_id)
    await cluster.passes(30)

    assert answer["call"]["state"] == "active"
    assert laura.states(alice)[-1] == ("active", None)


async def test_the_node_that_carries_the_call_dies(
    cluster: CallsCluster, nodes: list[CallsNode], talk: Talk
) -> None:
    laura, max_, nina = nodes
    _, bob, call_id = talk

    await cluster.dies(laura)
    await cluster.passes(2)
    alice = nina.opens("alice")
    await nina.asks(alice, "call:accept", call_id=call_id)
    await max_.asks(bob, "call:signal", call_id=call_id, to_device_id="alice", signal="restart")
    await cluster.passes(30)

    assert [each["signal"] for each in nina.socket(alice).named("call:signal")] == ["restart"]
    assert [*cluster.running().values()] == [["duo"]]
    assert cluster.log.records == []


async def test_a_call_of_a_dead_node_ends_once_when_nobody_returns(
    cluster: CallsCluster, nodes: list[CallsNode], talk: Talk
) -> None:
    laura, max_, nina = nodes
    _, bob, call_id = talk

    await cluster.dies(laura)
    await cluster.passes(16)

    assert max_.states(bob)[-1] == ("ended", "failed")
    assert [(r.call_id, r.outcome) for r in cluster.log.records] == [(call_id, "failed")]
    assert await nina.store.calls.all() == []


async def test_an_heir_knows_which_of_its_own_sockets_are_gone(
    cluster: CallsCluster, nodes: list[CallsNode], talk: Talk
) -> None:
    """The dead node had not heard of the end, or not saved it."""
    laura, max_, nina = nodes
    _, bob, call_id = talk
    await cluster.dies(nina)
    cluster.shared.drop_next(1, lambda publisher, channel, data: channel == "c:all")
    max_.closes(bob)
    await max_.settle()

    await cluster.dies(laura)
    alice = max_.opens("alice")
    await max_.asks(alice, "call:accept", call_id=call_id)
    await cluster.passes(30)

    assert max_.states(alice)[-1] == ("ended", "failed")
    assert [(r.call_id, r.outcome) for r in cluster.log.records] == [(call_id, "failed")]


async def test_it_rings_on_when_its_node_dies(
    cluster: CallsCluster, nodes: list[CallsNode]
) -> None:
    laura, max_, nina = nodes
    alice, bob = laura.opens("alice"), max_.opens("bob")
    started = await laura.asks(alice, "call:start", room_id="duo", media="audio")

    await cluster.dies(laura)
    nina.opens("alice")
    await nina.settle()
    answer = await max_.asks(bob, "call:accept", call_id=started["call"]["id"])

    assert answer["call"]["state"] == "active"


async def test_after_all_nodes_died_the_next_has_the_call(
    cluster: CallsCluster, nodes: list[CallsNode], talk: Talk
) -> None:
    for node in nodes:
        await cluster.dies(node)

    (oscar,) = await cluster.starts("oscar")
    bob = oscar.opens("bob")
    answer = await oscar.asks(bob, "call:accept", call_id=talk[2])

    assert answer["call"]["state"] == "active"


async def test_a_member_removed_through_any_node_is_out(
    cluster: CallsCluster, nodes: list[CallsNode]
) -> None:
    laura, max_, nina = nodes
    alice, carol = laura.opens("alice"), max_.opens("carol")
    started = await laura.asks(alice, "call:start", room_id="garden", media="audio")
    await max_.asks(carol, "call:accept", call_id=started["call"]["id"])

    del cluster.rooms.members[RoomId("garden")][UserId("carol")]
    nina.calls.member_out(RoomId("garden"), UserId("carol"))
    await nina.settle()

    last = laura.socket(alice).named("call:state")[-1]["call"]
    assert [each["user_id"] for each in last["participants"]] == ["alice"]


async def test_a_node_that_does_not_answer_is_unavailable(
    cluster: CallsCluster,
    nodes: list[CallsNode],
    talk: Talk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "ANSWER_S", 0.02)
    _, max_, _ = nodes
    _, bob, call_id = talk
    cluster.shared.cut(nodes[0].id)

    with pytest.raises(Unavailable):
        await max_.asks(bob, "call:mute", call_id=call_id, track_id="mic", muted=True)

    cluster.shared.heal()
    await max_.asks(bob, "call:mute", call_id=call_id, track_id="mic", muted=True)
