"""A ticket may be shown by its hash: the media process knows those that were made here."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from media.connections import KnowTicket
from media.wire import attributes as a
from media.wire.stun import ALLOCATE, SUCCESS, Message, build, parse
from server.compose.tickets import KEPT, KnownTickets
from tests.calls_faults.people import house
from tests.support.turn_house import UDP, code_of


class Media:
    def __init__(self) -> None:
        self.on_ready: list[Callable[[], None]] = []
        self.told: list[str] = []

    def command(self, command: KnowTicket) -> None:
        self.told.append(command.username)


def test_a_media_process_that_starts_again_is_told_the_last_tickets() -> None:
    media = Media()
    known = KnownTickets(media)
    names = [f"{number}:alice" for number in range(KEPT + 10)]
    for name in (*names, names[10]):
        known.issued(name)
    media.told.clear()

    for callback in media.on_ready:
        callback()

    assert media.told == [*names[11:], names[10]]


@pytest.mark.slow
async def test_the_ticket_of_a_call_opens_a_relay_also_by_its_hash(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        alice, bob = await opened.person("alice"), await opened.person("bob")
        room_id = await opened.room("direct", alice, bob)
        joined = await alice.gets("call:start", room_id=room_id, media="audio")
        (ticket,) = [one for one in joined["ice_servers"] if "credential" in one]
        media = opened.server.calling.media
        assert media is not None
        assert media.ready is not None

        async def allocate(username: str) -> Message:
            return await asyncio.to_thread(
                _allocate, ("127.0.0.1", media.ready.port), username, ticket["credential"]
            )

        by_hash = await allocate(ticket["username"])
        unknown = await allocate(ticket["username"] + "x")

    assert by_hash.kind == SUCCESS
    assert code_of(unknown) == 401


def _allocate(server: tuple[str, int], username: str, password: str) -> Message:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(server)
        client.send(build(ALLOCATE, os.urandom(12), [UDP]))
        challenge = parse(client.recv(2_048))
        assert isinstance(challenge, Message)
        realm = challenge.attributes[a.REALM]
        key = a.long_term_key(a.MD5, username=username, realm=realm.decode(), password=password)
        proof = [
            (a.USERHASH, a.userhash(username, realm.decode())), (a.REALM, realm),
            (a.NONCE, challenge.attributes[a.NONCE]),
        ]  # fmt: skip
        client.send(build(ALLOCATE, os.urandom(12), [UDP, *proof], key=key))
        answer = parse(client.recv(2_048))
        assert isinstance(answer, Message)
        return answer
