"""What a real server refuses of calls, with the codes of the contract; and what becomes of TURN."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aioice.turn
import pytest
from aioice.stun import TransactionFailed

from server.kernel.ids import UserId
from server.kernel.logs import Secret
from signaling.tickets import Tickets, Urls, password
from tests.calls_faults.people import House, Person, house

pytestmark = pytest.mark.slow
DAY_MS = 86_400_000


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def alice(opened: House) -> Person:
    return await opened.person("alice")


@pytest.fixture
async def bob(opened: House) -> Person:
    return await opened.person("bob")


async def test_a_stranger_does_not_learn_of_a_call(
    opened: House, alice: Person, bob: Person
) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)
    mallory = await opened.person("mallory")
    named = {"call_id": call_id}

    codes = {
        await mallory.code("call:start", room_id=room_id, media="audio"),
        await mallory.code("call:accept", **named),
        await mallory.code("call:accept", **named, take_over=True),
        await mallory.code("call:decline", **named),
        await mallory.code("call:leave", **named),
        await mallory.code("call:end", **named),
        await mallory.code("call:signal", **named, to_device_id=alice.device_id, signal=1),
        await mallory.code("call:mute", **named, track_id="mic", muted=True),
        (await mallory.http("GET", f"/api/v1/calls/{call_id}/quality"))["code"],
        (await mallory.http("POST", f"/api/v1/calls/{call_id}/quality", {"windows": []}))["code"],
    }

    assert codes == {"not_found"}
    assert mallory.heard.empty()


async def test_who_is_blocked_does_not_call(opened: House, alice: Person, bob: Person) -> None:
    room_id = await opened.room("direct", alice, bob)
    await bob.http("PUT", f"/api/v1/blocks/{alice.user_id}")

    assert await alice.code("call:start", room_id=room_id, media="audio") == "forbidden"


async def test_who_is_removed_in_a_call_is_out_of_it_and_the_others_go_on(
    opened: House, alice: Person, bob: Person
) -> None:
    carol = await opened.person("carol")
    room_id = await opened.room("group", alice, bob, carol)
    call_id = await opened.call(alice, bob, room_id)

    await alice.http("DELETE", f"/api/v1/rooms/{room_id}/members/{bob.user_id}")

    state = await carol.hears("call:state", state="active")
    while len(state["call"]["participants"]) > 1:
        state = await carol.hears("call:state", state="active")
    assert [one["user_id"] for one in state["call"]["participants"]] == [alice.user_id]
    signal = {"call_id": call_id, "to_device_id": alice.device_id, "signal": 1}
    assert await bob.code("call:signal", **signal) == "not_found"
    assert await bob.code("call:accept", call_id=call_id) == "not_found"
    assert (await carol.gets("call:accept", call_id=call_id))["call"]["state"] == "active"


async def test_who_logs_out_in_a_call_has_left_it(
    opened: House, alice: Person, bob: Person
) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)

    await bob.http("DELETE", "/api/v1/sessions/current")

    ended = await alice.hears("call:state", id=call_id, state="ended")
    assert ended["call"]["reason"] == "hung_up"


async def test_an_ended_call_is_not_accepted(opened: House, alice: Person, bob: Person) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)
    await alice.gets("call:leave", call_id=call_id)
    signal = {"call_id": call_id, "to_device_id": alice.device_id, "signal": 1}

    assert await bob.code("call:accept", call_id=call_id) == "conflict"
    assert await bob.code("call:signal", **signal) == "conflict"
    assert await bob.code("call:mute", call_id=call_id, track_id="mic", muted=True) == "conflict"
    assert await bob.gets("call:leave", call_id=call_id) == {}


async def test_signals_stay_between_the_devices_of_a_call(
    opened: House, alice: Person, bob: Person
) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)
    tablet = await opened.another_device(bob)
    outside = {"call_id": call_id, "signal": 1}

    assert await alice.code("call:signal", **outside, to_device_id=tablet.device_id) == "not_found"
    assert await alice.code("call:signal", **outside, to_device_id="nobody") == "not_found"
    assert await tablet.code("call:signal", **outside, to_device_id=alice.device_id) == "forbidden"
    assert await tablet.code("call:accept", call_id=call_id) == "conflict"
    assert await tablet.code("call:mute", call_id=call_id, track_id="mic", muted=True) == (
        "forbidden"
    )


async def test_sizes_and_rates_of_signals_and_starts(
    opened: House, alice: Person, bob: Person
) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)
    to_bob = {"call_id": call_id, "to_device_id": bob.device_id}

    assert await alice.code("call:signal", **to_bob, signal="x" * 65_536) == "too_large"
    assert await alice.code("call:signal", **to_bob, signal="x" * 300_000) == "too_large"
    answers = await asyncio.gather(
        *(alice.answer("call:signal", **to_bob, signal=number) for number in range(500))
    )
    refused = [answer["error"] for answer in answers if not answer["ok"]]
    assert {error["code"] for error in refused} == {"rate_limited"}
    assert all(error["retry_after_s"] > 0 for error in refused)
    await bob.gets("call:leave", call_id=call_id)
    codes = [await bob.answer("call:start", room_id=room_id, media="audio") for _ in range(12)]
    assert [one["error"]["code"] for one in codes if not one["ok"]][:1] == ["rate_limited"]


async def test_what_comes_with_the_sfu_is_not_there_and_nonsense_is_invalid(
    opened: House, alice: Person, bob: Person
) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)

    for name in ("publish", "answer", "candidate", "subscribe", "offer", "speakers"):
        assert await alice.code(f"call:{name}", call_id=call_id) == "not_found"
    for wrong in ({}, {"call_id": 5}, {"call_id": call_id, "more": 1}, {"call_id": None}):
        assert await alice.code("call:accept", **wrong) == "invalid"
    assert await alice.code("call:start", room_id=room_id, media="smoke") == "invalid"


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def is_plain(value: Any) -> bool:
    """What the contract lets through anywhere."""
    match value:
        case str():
            return "\0" not in value
        case list():
            return all(map(is_plain, value))
        case dict():
            return all(
                is_plain(k) and k != "_placeholder" and is_plain(v) for k, v in value.items()
            )
    return True


async def test_a_signal_is_opaque_whatever_it_is(
    opened: House, alice: Person, bob: Person, seed: int
) -> None:
    room_id = await opened.room("direct", alice, bob)
    call_id = await opened.call(alice, bob, room_id)
    to_bob = {"call_id": call_id, "to_device_id": bob.device_id}
    sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n" + "a=\u2028\U0001f642" * 500
    chance = random.Random(seed)
    values = [
        sdp, {"type": "offer", "sdp": None}, {"type": {"type": []}}, "", [], {}, None, deep(28),
        *(some_json(chance) for _ in range(150)),
    ]  # fmt: skip

    for value in values:
        answer = await alice.answer("call:signal", **to_bob, signal=value)
        if not is_plain(value):
            assert answer["error"]["code"] == "invalid", value
            continue
        assert answer["ok"], (value, answer)
        heard = await bob.hears("call:signal")
        assert heard == {"call_id": call_id, "from_device_id": alice.device_id, "signal": value}
    for wrong in (deep(40), float("nan"), "\ud800", {"_placeholder": True, "num": 0}):
        assert await alice.code("call:signal", **to_bob, signal=wrong) == "invalid"


def some_json(chance: random.Random, depth: int = 0) -> Any:
    kinds = 6 if depth < 5 else 4
    match chance.randrange(kinds):
        case 0:
            return chance.choice((None, True, False, 0, -1, 2**53 - 1, 0.5, 1e-300))
        case 1 | 2:
            letters = 'aZ\n\r\t"\\/\x7f\x1fé\u2028\ufffd\U0001f642\U0010ffff\0'
            return "".join(chance.choice(letters[:-1]) for _ in range(chance.randrange(20)))
        case 3:
            return chance.choice(("a=candidate:", "\0", "v=0\r\n", "_placeholder"))
        case 4:
            return [some_json(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {
        str(some_json(chance, 9)): some_json(chance, depth + 1) for _ in range(chance.randrange(5))
    }


# ---- TURN ----------------------------------------------------------------------------------------


async def ticket(person: Person, room_id: str) -> tuple[str, str]:
    joined = await person.gets("call:start", room_id=room_id, media="audio")
    (server,) = [one for one in joined["ice_servers"] if "credential" in one]
    return server["username"], server["credential"]


async def allocates(opened: House, name: str, secret: str) -> int | asyncio.DatagramTransport:
    """The TURN endpoint, or the code of the refusal in real STUN messages over UDP."""
    media = opened.server.calling.media
    assert media is not None
    assert media.ready is not None
    try:
        endpoint, _ = await aioice.turn.create_turn_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", media.ready.port), name, secret
        )
    except TransactionFailed as failed:
        return int(failed.response.attributes["ERROR-CODE"][0])
    return endpoint


async def test_only_a_ticket_of_this_server_that_is_not_over_opens_a_relay(
    opened: House, alice: Person, bob: Person
) -> None:
    name, secret = await ticket(alice, await opened.room("direct", alice, bob))
    calls = opened.server.calling.calls
    assert calls is not None
    now = opened.server.clock.now_ms()
    turn = Urls(("turn:127.0.0.1:1",))
    ours = Tickets(calls._tickets._secret, turn)
    (over,) = ours.ice_servers(UserId(alice.user_id), now - DAY_MS - 1_000)
    (foreign,) = Tickets(Secret("another's"), turn).ice_servers(UserId(alice.user_id), now)
    endless = f"{2**70}:{alice.user_id}"

    refused = [
        await allocates(opened, str(over.username), str(over.credential)),
        await allocates(opened, str(foreign.username), str(foreign.credential)),
        await allocates(opened, name.replace(alice.user_id, bob.user_id), secret),
        await allocates(opened, endless, password(Secret("a guess"), endless)),
        await allocates(opened, name, secret[:-1]),
        await allocates(opened, "nobody", ""),
    ]
    endpoint = await allocates(opened, name, secret)

    assert refused == [401] * 6
    assert not isinstance(endpoint, int)
    endpoint.close()


async def test_with_his_last_login_ends_a_users_relay_and_his_tickets_are_no_good(
    opened: House, alice: Person, bob: Person
) -> None:
    name, secret = await ticket(alice, await opened.room("direct", alice, bob))
    tablet = await opened.another_device(alice)
    endpoint = await allocates(opened, name, secret)
    assert not isinstance(endpoint, int)

    await alice.http("DELETE", "/api/v1/sessions/current")
    await asyncio.sleep(0.3)
    while_the_tablet_is_in = await allocates(opened, name, secret)
    await tablet.http("DELETE", "/api/v1/sessions/current")
    for _ in range(30):  # the media process is told, and does not answer
        await asyncio.sleep(0.1)
        afterwards = await allocates(opened, name, secret)
        if isinstance(afterwards, int):
            break
        afterwards.close()

    assert not isinstance(while_the_tablet_is_in, int)
    assert afterwards == 401
    assert await allocates(opened, *await ticket_of(opened, bob)) != 401
    for one in (endpoint, while_the_tablet_is_in):
        one.close()


async def ticket_of(opened: House, person: Person) -> tuple[str, str]:
    return await ticket(person, await opened.room("group", person))
