"""One status of a user whose devices are at several nodes, told to watchers at all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.kernel.events import Context
from server.kernel.ids import NodeId, UserId
from tests.support.presence_house import PresenceHouse, PresenceNode, presence_house

Watching = tuple[PresenceNode, PresenceNode, Context]
BOB = UserId("bob")


@pytest.fixture
async def house() -> AsyncIterator[PresenceHouse]:
    async with presence_house() as opened:
        await opened.users("alice", "bob")
        yield opened


@pytest.fixture
async def watching(house: PresenceHouse) -> Watching:
    """Alice, at the first of two nodes, watches Bob, who is nowhere yet."""
    a, b = await house.starts("a", "b")
    alice = a.opens("alice")
    await house.settle()
    await a.watches(alice, "bob")
    return a, b, alice


async def test_who_is_at_another_node_is_online_and_goes_offline(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    await house.passes(10)
    b.closes(bob)
    await house.passes(4.75)
    before = a.told(alice, "bob")

    await house.passes(0.5)

    assert (before, a.told(alice, "bob")) == (["online"], ["online", "offline"])
    row = (await house.store.accounts.presence([BOB]))[BOB]
    news = a.outlet.sockets[alice.socket_id].named("presence:changed")[-1]
    assert news["last_seen_at"] == row.last_seen_at == house.clock.now_ms() - 5250


async def test_watching_answers_with_how_he_is_at_another_node(house: PresenceHouse) -> None:
    a, b = await house.starts("a", "b")
    bob = b.opens("bob")
    await house.settle()
    await house.sets(b, bob, "busy", "in a meeting")
    alice = a.opens("alice")
    await house.settle()

    answer = await a.watches(alice, "bob", "alice")

    assert (answer[BOB].status, answer[BOB].text) == ("busy", "in a meeting")
    await house.passes(3)
    assert a.told(alice, "bob") == []


async def test_who_moves_from_node_to_node_never_goes_offline(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    await house.passes(10)
    for left, entered in ((b, a), (a, b), (b, a)):
        left.closes(bob)
        await house.passes(4)
        bob = entered.opens("bob")
        await house.passes(6)

    assert a.told(alice, "bob") == ["online"]
    assert (await house.store.accounts.presence([BOB])).get(BOB) is None


async def test_one_device_active_anywhere_makes_him_online(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    phone, laptop = a.opens("bob"), b.opens("bob")
    await house.passes(200)
    b.presence.active(laptop)
    await house.passes(200)
    before = a.told(alice, "bob")
    await house.passes(150)
    both_idle = a.told(alice, "bob")

    a.presence.active(phone)
    await house.passes(2)

    assert before == ["online"]
    assert both_idle == ["online", "away"]
    assert a.told(alice, "bob") == ["online", "away", "online"]


async def test_settings_made_at_one_node_show_at_the_others_at_once(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    also = a.opens("bob")
    await house.passes(2)

    await house.sets(b, bob, "busy", "lunch")
    shown = a.outlet.sockets[alice.socket_id].named("presence:changed")[-1]
    await house.passes(2)
    await house.sets(a, also, "invisible")
    await house.passes(1)

    assert (shown["status"], shown["text"]) == ("busy", "lunch")
    assert a.told(alice, "bob") == ["online", "busy", "offline"]


async def test_the_last_seen_of_one_who_left_two_nodes_at_once_is_kept_once(
    house: PresenceHouse,
) -> None:
    a, b = await house.starts("a", "b")
    kept = []
    put = house.store.accounts.put_presence
    house.store.accounts.put_presence = lambda row: kept.append(row) or put(row)  # type: ignore
    phone, laptop = a.opens("bob"), b.opens("bob")
    await house.passes(2)

    a.closes(phone)
    b.closes(laptop)
    await house.passes(10)

    assert [row.last_seen_at for row in kept] == [house.clock.now_ms() - 10_000]


async def test_users_of_a_dead_node_are_offline_within_10_s_with_a_last_seen(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    b.opens("bob")
    await house.passes(7)
    died = house.clock.now_ms()

    await house.dies("b")
    await house.passes(10)

    assert a.told(alice, "bob")[:2] == ["online", "offline"]
    row = (await house.store.accounts.presence([BOB]))[BOB]
    assert row.last_seen_at == pytest.approx(died, abs=3_000)
    answer = await a.watches(alice, "bob")
    assert answer[BOB].last_seen_at == row.last_seen_at


async def test_who_resumed_elsewhere_does_not_flap_when_his_node_is_found_dead(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    (c,) = await house.starts("c")
    b.opens("bob")
    await house.passes(2)

    await house.dies("b")
    await house.passes(3)
    c.opens("bob")
    await house.passes(20)

    assert a.told(alice, "bob") == ["online"]
    assert (await house.store.accounts.presence([BOB])).get(BOB) is None


async def test_one_node_after_another_restarts_and_nobody_flaps(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    b.opens("bob")
    await house.passes(2)

    for old, new in (("b", "c"), ("c", "d")):
        await house.leaves(old)
        (node,) = await house.starts(new)
        node.opens("bob")
        await house.passes(5)

    assert a.told(alice, "bob") == ["online"]


async def test_nobody_flaps_when_the_shared_store_forgets_all(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    await house.passes(2)

    house.cluster.flush_all()
    await house.passes(10)
    before = a.told(alice, "bob")
    late = a.opens("alice")
    await house.settle()
    answer = await a.watches(late, "bob")
    b.closes(bob)
    await house.passes(6)

    assert before == ["online"]
    assert answer[BOB].status == "online"
    assert a.told(alice, "bob") == ["online", "offline"]


async def test_what_happened_while_a_node_was_cut_off_shows_within_10_s_after(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    await house.passes(2)

    house.cluster.cut(NodeId("a"))
    b.closes(bob)
    await house.passes(20)
    during = a.told(alice, "bob")
    house.cluster.heal()
    await house.passes(10)

    assert during == ["online"], "the last word counts"
    assert a.told(alice, "bob") == ["online", "offline"]


async def test_while_the_shared_store_is_away_local_users_go_on(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    house.cluster.cut()

    bob = a.opens("bob")
    await house.passes(2)
    late = b.opens("alice")
    await house.settle()
    unheard = await b.watches(late, "bob")
    a.closes(bob)
    a.opens("bob")
    house.cluster.heal()
    await house.passes(10)

    assert a.told(alice, "bob") == ["online"]
    assert unheard[BOB].status == "offline"
    assert b.told(late, "bob") == ["online"]


async def test_a_node_listens_only_for_those_it_has_devices_or_watchers_of(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    await house.passes(2)
    channels = a.shared.fanout._channels  # type: ignore[attr-defined]
    while_watched = set(channels)

    await a.watches(alice)
    b.closes(bob)
    await house.passes(7)

    assert while_watched == {"p:alice", "p:bob"}
    assert channels == {"p:alice"}
    assert b.shared.fanout._channels == set()  # type: ignore[attr-defined]


async def test_who_left_the_last_common_room_is_watched_no_longer_after_a_while(
    house: PresenceHouse, watching: Watching
) -> None:
    a, b, alice = watching
    bob = b.opens("bob")
    await house.passes(2)
    await house.parts("bob")

    await house.passes(125)
    await house.sets(b, bob, "busy")
    await house.passes(5)

    assert a.told(alice, "bob") == ["online"]
    assert (await a.watches(alice, "bob")) == {}


async def test_rubbish_on_a_channel_harms_nobody(house: PresenceHouse, watching: Watching) -> None:
    a, b, alice = watching
    for data in (b"", b"\xff\x00", b"\x93\xa1d\x01", b"x" * 1000):
        b.shared.fanout.publish("p:bob", data)
    await house.settle()

    b.opens("bob")
    await house.passes(2)

    assert a.told(alice, "bob") == ["online"]
