"""A store that goes away under way, and what must survive it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.chat.fold import rebuild
from server.kernel.config import Config, Log
from server.kernel.errors import Unavailable
from storage.api import Batch, Refused
from tests.support.chat_house import ROOMS, House, make_room, open_house


class LostReply:
    """A log that stores the next append, but whose answer never comes back."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.lose = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, batch: Batch) -> Refused | None:
        refused: Refused | None = await self._log.append(batch)
        if self.lose:
            self.lose = False
            raise Unavailable("The outcome is not known.")
        return refused


async def test_what_was_stored_without_an_answer_is_announced_and_a_repeat_finds_it(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    await alice.says(room, "before")
    house.store.log = LostReply(house.store.log)  # type: ignore[assignment]
    client_id = house.client_id()

    with pytest.raises(Unavailable):
        await alice.says(room, "lost?", client_id=client_id)
    await house.passes(seconds=2)
    heard = [event["seq"] for event in bob.hears(room)]
    again = await alice.says(room, "lost?", client_id=client_id)

    assert heard == [1, 2, 3, 4, 5]
    assert again["seq"] == 5
    assert len(await house.log_of(room)) == 5


async def test_while_the_store_cannot_serve_nothing_is_acknowledged_and_then_it_goes_on(
    house: House,
) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    house.store.outage = True

    refused = await asyncio.gather(
        *(alice.says(room, f"{n}") for n in range(5)), return_exceptions=True
    )
    house.store.outage = False
    sent = await alice.says(room, "there again")
    await house.settle()

    assert {type(error) for error in refused} == {Unavailable}
    assert sent["seq"] == 4
    assert [event["seq"] for event in bob.hears(room)] == [1, 2, 3, 4]


async def test_reactions_to_what_expired_do_not_come_back_with_a_rebuild(house: House) -> None:
    (alice,) = await house.joins("alice")
    room = await make_room(alice)
    seq = (await alice.says(room, expires_in_s=5))["seq"]
    await alice.asks("reaction:add", room_id=room, client_id=house.client_id(), seq=seq, emoji="x")
    await house.passes(seconds=7)

    await rebuild(house.store)

    found = await house.store.projections.reaction(room, seq, alice.id, "x")  # type: ignore[arg-type]
    assert found is None


async def test_a_crash_loses_no_more_than_what_the_log_gives_back(house: House) -> None:
    alice, bob = await house.joins("alice", "bob")
    room = await make_room(alice, bob)
    for number in range(30):
        await alice.says(room, f"{number}")

    await house.crashes()

    view = await alice.calls("GET", f"{ROOMS}/{room}")
    assert (view["head"], view["read_seq"], view["unread"]) == (33, 33, 0)


async def test_retention_blanks_the_old_by_deletes_of_the_system() -> None:
    async with open_house(Config(log=Log(retention_days=1))) as house:
        (alice,) = await house.joins("alice")
        room = await make_room(alice)
        await alice.says(room, "old")
        house.clock.advance(2 * 86_400)
        await alice.says(room, "new")

        await house.passes(seconds=3700)

        log = await house.log_of(room)
        assert [(e["type"], e.get("gone")) for e in log[2:]] == [
            ("message", "erased"),
            ("message", None),
            ("delete", None),
        ]
        assert (log[-1]["sender_id"], log[-1]["target_seq"]) == ("system", 3)
