"""Two people and a server: what they say arrives once and in order, whatever happens between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hubbub import Client, Receipt, SessionEnded, Typing
from hubbub.errors import NotFound, Unauthorized

from tests.scenarios.conftest import FREE, PASSWORD, Come, Person
from tests.support.process import start_server
from tests.support.waiting import until

pytestmark = pytest.mark.slow


async def test_two_people_talk(come: Come):
    alice, bob = await come(), await come()
    room = await alice.client.direct(bob.id)
    await bob.is_in(room.id)

    await room.send("dinner at eight?")
    await bob.client.room(room.id).send("gladly")

    for person in (alice, bob):
        await until(lambda p=person: len(p.texts(room.id)) == 2)
        assert person.texts(room.id) == ["dinner at eight?", "gladly"]


async def test_bob_hears_once_what_was_said_while_he_was_away(come: Come):
    alice, bob = await come(), await come()
    room = await alice.client.create_room(name="garden", member_ids=[bob.id])
    await bob.is_in(room.id)
    await bob.client.disconnect()
    for number in range(30):
        await room.send(str(number))

    await bob.client.connect()
    await until(lambda: len(bob.texts(room.id)) >= 30)

    assert bob.texts(room.id) == [str(number) for number in range(30)]


async def test_typing_and_receipts_reach_the_other(come: Come):
    alice, bob = await come(), await come()
    room = await alice.client.direct(bob.id)
    await bob.is_in(room.id)
    sent = await room.send("hello")

    await room.typing()
    await bob.client.room(room.id).mark_read(sent.seq)

    await until(lambda: Typing(room.id, alice.id, True) in bob.items)
    await until(
        lambda: any(
            isinstance(i, Receipt) and i.user_id == bob.id and i.read_seq == sent.seq
            for i in alice.items
        )
    )


async def test_a_repeated_command_is_one_event(come: Come):
    alice = await come()
    room = await alice.client.create_room(name="garden")
    await alice.client.server_info()
    client_id = alice.client._ids.new()
    command = {
        "room_id": room.id, "client_id": client_id, "content": {"type": "text", "body": "once"},
    }  # fmt: skip

    answers = await asyncio.gather(*(alice.client.request("message:send", command) for _ in "123"))

    assert answers[0] == answers[1] == answers[2]
    log = await room.whole_log()
    assert [event.body for event in log if event.type == "message"] == ["once"]


async def test_edits_reactions_and_deletes_are_events(come: Come):
    alice = await come()
    room = await alice.client.create_room(name="garden")
    sent = await room.send("helo")

    await room.edit(sent.seq, "hello")
    await room.react(sent.seq, "👍")
    await room.unreact(sent.seq, "👍")
    await room.delete(sent.seq)

    types = [event.type for event in await room.whole_log()]
    assert types[-5:] == ["message", "edit", "reaction", "reaction", "delete"]
    [message] = (await room.history(view="messages")).events
    assert message.gone == "deleted"


async def test_revoking_a_session_closes_its_socket_within_a_second(server, come: Come):
    alice = await come()
    async with Client(server.base_url) as tablet:
        second = Person(tablet)
        session = await tablet.log_in(alice.name, PASSWORD)
        await tablet.connect()

        await alice.client.revoke(session.session_id)

        await until(lambda: SessionEnded("revoked") in second.items, 1.0)
        with pytest.raises(Unauthorized):
            await tablet.direct(alice.id)


async def test_a_removed_member_hears_of_it_and_nothing_more(come: Come):
    alice, bob = await come(), await come()
    room = await alice.client.create_room(name="garden", member_ids=[bob.id])
    await bob.is_in(room.id)

    await room.remove(bob.id)
    await until(lambda: room.id not in bob.client.rooms)
    await room.send("he is gone")

    assert bob.heard(room.id)[-1].content["change"] == "removed"
    with pytest.raises(NotFound):
        await bob.client.page(room.id, {})


async def test_a_client_over_long_polling_talks_as_well(server, come: Come):
    alice = await come()
    async with Client(server.base_url, transport="polling") as client:
        bob = Person(client)
        await client.sign_up(f"{alice.name}.poll", PASSWORD)
        await client.connect()
        room = await alice.client.direct(bob.id)
        await bob.is_in(room.id)

        await client.room(room.id).send("by post")

        await until(lambda: alice.texts(room.id) == ["by post"] == bob.texts(room.id))


async def test_a_restart_in_the_middle_loses_and_doubles_nothing(tmp_path: Path):
    server = start_server(tmp_path / "data", env=FREE)
    try:
        async with Client(server.base_url) as client:
            alice = Person(client)
            await client.sign_up("alice", PASSWORD)
            await client.connect()
            room = await client.create_room(name="garden")
            talk = asyncio.create_task(_count(room, 60))
            await asyncio.sleep(0.2)

            code = await asyncio.to_thread(server.stop)
            server = await asyncio.to_thread(
                start_server, tmp_path / "data", port=server.port, env=FREE
            )
            await asyncio.wait_for(talk, 30)
            await until(lambda: len(alice.texts(room.id)) >= 60)

            assert code == 0
            assert alice.texts(room.id) == [str(n) for n in range(60)]
    finally:
        server.stop()


async def test_what_was_written_offline_is_sent_by_the_next_run(server, tmp_path: Path):
    state = tmp_path / "state"
    async with Client(server.base_url, state=state) as first:
        await first.sign_up(f"offline{server.port}", PASSWORD)
        await first.connect()
        room = await first.create_room(name="garden")
        await first.disconnect()
        writing = asyncio.create_task(room.send("kept"))
        await asyncio.sleep(0)
    await asyncio.gather(writing, return_exceptions=True)

    async with Client(server.base_url, state=state) as second:
        again = Person(second)
        await second.connect()
        await until(lambda: again.texts(room.id) == ["kept"])


async def _count(room, most: int) -> None:
    for number in range(most):
        await room.send(str(number))
        await asyncio.sleep(0.005)
