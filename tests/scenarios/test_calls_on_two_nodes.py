"""Calls between people at different nodes of one cluster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import aioice.turn
import pytest
from aioice.stun import TransactionFailed
from hubbub import Client
from hubbub.calls.call import Call
from hubbub.calls.shapes import CallSignal

from tests.scenarios.conftest import PASSWORD, Person
from tests.scenarios.two_nodes import TwoNodes, two_nodes
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ComeTo = Callable[[int], Awaitable[Person]]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """The third has no media port of its own."""
    folder = tmp_path_factory.mktemp("calls")
    with two_nodes(folder, HUBBUB_CLUSTER__BEAT_S="0.5") as nodes, nodes.start("--role", "hub,api"):
        yield nodes


@pytest.fixture
async def come_to(cluster: TwoNodes) -> AsyncIterator[ComeTo]:
    async with contextlib.AsyncExitStack() as stack:

        async def somebody(node: int) -> Person:
            client = await stack.enter_async_context(Client(cluster.nodes[node].base_url))
            person = Person(client)
            await client.sign_up(f"caller{next(_numbers)}", PASSWORD)
            await client.connect()
            return person

        yield somebody


async def calling(alice: Person, bob: Person, room_id: str) -> tuple[Call, Call]:
    await bob.is_in(room_id)
    hers = await alice.client.calls.start(room_id)
    await until(lambda: hers.id in bob.client.calls.ringing)
    return hers, await bob.client.calls.accept(hers.id)


async def signals(news: AsyncIterator[object], count: int) -> list[object]:
    heard: list[object] = []
    async for item in news:
        if isinstance(item, CallSignal):
            heard.append(item.signal)
        if len(heard) == count:
            break
    return heard


async def test_a_call_rings_signals_and_ends_across_nodes(come_to: ComeTo) -> None:
    alice, bob = await come_to(0), await come_to(1)
    room = await alice.client.direct(bob.id)
    hers, his = await calling(alice, bob, room.id)
    news = hers.news()
    hearing = asyncio.create_task(signals(news, 20))

    for number in range(20):
        await his.signal(his.others[0].device_id, {"n": number})

    assert await hearing == [{"n": number} for number in range(20)]
    await his.leave()
    await until(lambda: hers.over)
    assert hers.reason == "hung_up"
    await until(lambda: [e.type for e in alice.heard(room.id)].count("call") == 1)


async def test_who_is_removed_at_another_node_is_out_of_the_call(come_to: ComeTo) -> None:
    alice, bob = await come_to(0), await come_to(1)
    room = await alice.client.create_room(name="garden", member_ids=[bob.id])
    hers, his = await calling(alice, bob, room.id)

    await room.remove(bob.id)

    await until(lambda: not hers.others)
    await until(lambda: his.over)


async def test_a_node_without_a_media_port_names_that_of_others(
    come_to: ComeTo, cluster: TwoNodes
) -> None:
    alice, carol = await come_to(0), await come_to(2)
    room = await alice.client.direct(carol.id)

    hers, theirs = await calling(alice, carol, room.id)

    own = {url for server in hers.ice_servers for url in server.urls}
    told = {url for server in theirs.ice_servers for url in server.urls}
    assert len(own) == 3
    assert own < told
    assert len(told) == 6


async def test_who_logs_out_at_one_node_has_no_relay_at_the_other(come_to: ComeTo) -> None:
    alice, bob = await come_to(0), await come_to(1)
    room = await alice.client.direct(bob.id)
    hers, his = await calling(alice, bob, room.id)
    (ticket,) = [one for one in hers.ice_servers if one.credential]
    (his_server,) = [one for one in his.ice_servers if one.credential]
    udp = next(url for url in his_server.urls if url.endswith("transport=udp"))

    async def refusal() -> int | None:
        address = urlsplit("//" + udp.split(":", 1)[1])
        try:
            endpoint, _ = await aioice.turn.create_turn_endpoint(
                asyncio.DatagramProtocol, (address.hostname, address.port),
                ticket.username, ticket.credential,
            )  # fmt: skip
        except TransactionFailed as failed:
            return int(failed.response.attributes["ERROR-CODE"][0])
        endpoint.close()
        return None

    before = await refusal()
    await alice.client.log_out()
    after = None
    for _ in range(50):  # one node tells the other
        if after is None:
            await asyncio.sleep(0.1)
            after = await refusal()

    assert (before, after) == (None, 401)
