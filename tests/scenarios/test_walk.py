"""Every event and every route, over the wire, as one who may not: forbidden or not_found."""

from __future__ import annotations

from typing import Any

import pytest
from hubbub import Client
from hubbub.errors import Forbidden, HubbubError, NotFound, Unauthorized

from server.accounts.routes import routes as accounts_routes
from server.chat.wiring import events as chat_events
from server.chat.wiring import routes as chat_routes
from server.presence.wiring import events as presence_events
from tests.scenarios.conftest import Come, Person
from tests.support.waiting import until

pytestmark = pytest.mark.slow

HELLO = {"type": "text", "body": "hello"}
OF_ROOMS: dict[str, dict[str, Any]] = {
    "message:send": {"content": HELLO},
    "message:edit": {"seq": 4, "content": HELLO},
    "message:delete": {"seq": 4},
    "reaction:add": {"seq": 4, "emoji": "x"},
    "reaction:remove": {"seq": 4, "emoji": "x"},
    "receipt:set": {"read_seq": 4},
    "typing:set": {"typing": True},
}
OF_ONESELF = {"sync", "presence:set", "presence:watch"}
ROUTES_OF_ROOMS: dict[tuple[str, str], dict[str, Any] | None] = {
    ("GET", "/rooms/{room_id}"): None,
    ("PATCH", "/rooms/{room_id}"): {"name": "mine"},
    ("GET", "/rooms/{room_id}/members"): None,
    ("POST", "/rooms/{room_id}/members"): {"user_ids": ["{me}"]},
    ("PATCH", "/rooms/{room_id}/members/{user_id}"): {"role": "admin"},
    ("DELETE", "/rooms/{room_id}/members/{user_id}"): None,
    ("GET", "/rooms/{room_id}/events"): None,
}


async def _outsider(come: Come, kind: str) -> tuple[Person, str]:
    """A private room with a message at seq 4 or before, and somebody who is not in it."""
    owner, outsider = await come(), await come()
    removed = kind == "removed"
    room = await owner.client.create_room(
        name="private", member_ids=[outsider.id] if removed else []
    )
    for _ in range(3):
        await room.send("hello")
    if removed:
        await outsider.is_in(room.id)
        await room.remove(outsider.id)
        await until(lambda: room.id not in outsider.client.rooms)
    return outsider, room.id


def test_every_event_and_route_is_walked():
    names = {bound.name for table in (chat_events, presence_events) for bound in table.bind(None)}
    of_rooms = {
        (bound.route.method, bound.route.path.removeprefix("/api/v1"))
        for bound in chat_routes.bind(None)
        if "{room_id}" in bound.route.path
    }

    assert names == set(OF_ROOMS) | OF_ONESELF
    assert of_rooms == set(ROUTES_OF_ROOMS)


@pytest.mark.parametrize("kind", ["stranger", "removed"])
async def test_an_outsiders_events_are_refused(come: Come, kind: str):
    outsider, room_id = await _outsider(come, kind)

    for name, payload in OF_ROOMS.items():
        client_id = {} if name in ("receipt:set", "typing:set") else {
            "client_id": outsider.client._ids.new()
        }  # fmt: skip
        with pytest.raises((NotFound, Forbidden)):
            await outsider.client.request(name, {"room_id": room_id, **client_id, **payload})


@pytest.mark.parametrize("kind", ["stranger", "removed"])
async def test_an_outsiders_calls_are_refused(come: Come, kind: str):
    outsider, room_id = await _outsider(come, kind)

    for (method, path), body in ROUTES_OF_ROOMS.items():
        place = path.format(room_id=room_id, user_id=outsider.id)
        if body and "user_ids" in body:
            body = {"user_ids": [outsider.id]}
        with pytest.raises((NotFound, Forbidden)):
            await outsider.client.call(method, place, body, answer=dict)


async def test_an_outsiders_sync_shows_nothing_of_the_room(come: Come):
    outsider, room_id = await _outsider(come, "removed")

    answer = await outsider.client.request("sync", {"rooms": {room_id: {"log_id": "x", "seq": 0}}})

    assert answer["rooms"] == []
    assert answer["removed"] == [room_id]


async def test_a_blocked_user_cannot_write_into_the_direct_room(come: Come):
    alice, mallory = await come(), await come()
    room = await mallory.client.direct(alice.id)
    sent = await room.send("hello")
    await alice.client.call("PUT", f"/blocks/{mallory.id}", answer=type(None))

    for action in (room.send("again"), room.edit(sent.seq, "x"), room.react(sent.seq, "x")):
        with pytest.raises(Forbidden):
            await action


async def test_no_call_that_needs_a_login_answers_without_one(server):
    async with Client(server.base_url) as nobody:
        for bound in (*accounts_routes.bind(None), *chat_routes.bind(None)):
            if not bound.route.login:
                continue
            path = bound.route.path.removeprefix("/api/v1").format(
                room_id="x", user_id="x", session_id="x"
            )
            with pytest.raises(HubbubError) as refused:
                await nobody._api.call(
                    bound.route.method, path, {} if bound.route.body else None,
                    answer=dict, login=False,
                )  # fmt: skip
            assert isinstance(refused.value, Unauthorized), bound.route
