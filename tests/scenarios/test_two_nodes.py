"""People at two nodes of one cluster: they notice nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hubbub import Client, PresenceChanged, SessionEnded
from hubbub.errors import Unauthorized

from tests.scenarios.conftest import PASSWORD, Person
from tests.scenarios.two_nodes import TwoNodes, two_nodes
from tests.support.process import ROOT
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ComeTo = Callable[[int], Awaitable[Person]]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path_factory.mktemp("two")) as nodes:
        yield nodes


@pytest.fixture
async def come_to(cluster: TwoNodes) -> AsyncIterator[ComeTo]:
    """`await come_to(1)`: somebody new, connected to that node."""
    async with contextlib.AsyncExitStack() as stack:

        async def somebody(node: int) -> Person:
            client = await stack.enter_async_context(Client(cluster.nodes[node].base_url))
            person = Person(client)
            await client.sign_up(f"guest{next(_numbers)}", PASSWORD)
            await client.connect()
            return person

        yield somebody


async def test_two_people_talk_across_nodes(come_to: ComeTo):
    alice, bob = await come_to(0), await come_to(1)
    room = await alice.client.create_room(name="garden", member_ids=[bob.id])
    await bob.is_in(room.id)

    for number in range(20):
        await room.send(f"a{number}")
        await bob.client.room(room.id).send(f"b{number}")

    for person in (alice, bob):
        await until(lambda p=person: len(p.texts(room.id)) == 40)
    assert alice.texts(room.id) == bob.texts(room.id)
    assert [e.seq for e in bob.heard(room.id)] == list(range(1, 44))


async def test_both_write_at_once_and_hear_the_same(come_to: ComeTo):
    alice, bob = await come_to(0), await come_to(1)
    room = await alice.client.create_room(name="crowd", member_ids=[bob.id])
    await bob.is_in(room.id)
    there = bob.client.room(room.id)

    sends = [r.send(f"{n}") for n in range(100) for r in (room, there)]
    sent = await asyncio.gather(*sends)

    for person in (alice, bob):
        await until(lambda p=person: len(p.texts(room.id)) == 200)
    assert alice.texts(room.id) == bob.texts(room.id)
    assert sorted(one.seq for one in sent) == list(range(4, 204))


async def test_who_is_at_another_node_is_seen_there(come_to: ComeTo):
    alice, bob = await come_to(0), await come_to(1)
    room = await alice.client.create_room(name="watch", member_ids=[bob.id])
    await bob.is_in(room.id)
    shown = await alice.client.watch([bob.id])

    if shown[bob.id].status == "offline":  # asked before the other node had said so
        await until(lambda: [p.status for p in seen(alice)] == ["online"])
    await bob.client.set_status("busy", "baking")

    await until(lambda: [p.text for p in seen(alice) if p.status == "busy"] == ["baking"])


async def test_a_password_changed_on_the_command_line_ends_sessions_at_every_node(
    cluster: TwoNodes, come_to: ComeTo
):
    alice, bob = await come_to(0), await come_to(1)
    name = alice.name

    for person in (alice, bob):
        line = [sys.executable, "-m", "server.main", "user", "passwd", person.name]
        await asyncio.to_thread(
            subprocess.run, line, cwd=ROOT, env={**os.environ, **cluster.env}, input="new secret",
            text=True, check=True, capture_output=True, timeout=30,
        )  # fmt: skip

    for person in (alice, bob):
        await until(lambda p=person: any(isinstance(i, SessionEnded) for i in p.items))
    async with Client(cluster.nodes[1].base_url) as client:
        with pytest.raises(Unauthorized):
            await client.log_in(name, PASSWORD)
        await client.log_in(name, "new secret")


async def test_who_was_at_a_node_that_died_goes_on_at_another(
    cluster: TwoNodes, come_to: ComeTo, tmp_path: Path
):
    alice = await come_to(0)
    third = cluster.start()
    async with Client(third.base_url, state=tmp_path / "carol") as client:
        carol = Person(client)
        await client.sign_up(f"guest{next(_numbers)}", PASSWORD)
        await client.connect()
        room = await alice.client.create_room(name="visit", member_ids=[carol.id])
        await carol.is_in(room.id)
        await client.room(room.id).send("hello from here")
        await until(lambda: alice.texts(room.id) == ["hello from here"])
        await asyncio.to_thread(third.kill)
    await room.send("are you there?")

    async with Client(cluster.nodes[1].base_url, state=tmp_path / "carol") as client:
        carol = Person(client)
        await client.connect()
        await client.room(room.id).send("I am")
        await until(lambda: len(carol.texts(room.id)) >= 2)

    await until(lambda: len(alice.texts(room.id)) >= 3)
    assert carol.texts(room.id) == ["are you there?", "I am"]
    assert alice.texts(room.id) == ["hello from here", "are you there?", "I am"]


async def test_facts_reach_the_operators_webhook(tmp_path_factory: pytest.TempPathFactory):
    told: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        told.extend((await request.json())["facts"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    hook = {
        "HUBBUB_BUS__WEBHOOK_URL": f"http://127.0.0.1:{port}/hook",
        "HUBBUB_BUS__WEBHOOK_SECRET": "a secret of this test",
    }
    stack = contextlib.ExitStack()
    try:
        folder = tmp_path_factory.mktemp("hook")
        nodes = await asyncio.to_thread(lambda: stack.enter_context(two_nodes(folder, **hook)))
        async with Client(nodes.nodes[0].base_url) as client:
            await client.sign_up("alice", PASSWORD)
            await client.connect()
            room = await client.create_room(name="facts")
            sent = await room.send("the body stays here")
            await until(lambda: any(f["name"] == "message.stored" for f in told), timeout_s=15)
    finally:
        await asyncio.to_thread(stack.close)
        await runner.cleanup()

    fact = next(f for f in told if f["name"] == "message.stored")
    assert (fact["data"]["room_id"], fact["data"]["seq"]) == (room.id, sent.seq)
    assert "body" not in json.dumps(told)
    assert {"room.stored", "member.stored", "user.created"} <= {f["name"] for f in told}


def seen(person: Person) -> list[PresenceChanged]:
    return [item for item in person.items if isinstance(item, PresenceChanged)]
