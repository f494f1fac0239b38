"""CONNECT, the end of logins, drain, through real sockets; and unmodified Python clients."""

import asyncio
import json

import pytest
import socketio

from server.kernel.clock import Virtual
from server.kernel.ids import RoomId, SessionId, UserId
from tests.support.hub_house import GARDEN, Told, hub_house, small_config
from tests.support.waiting import until


@pytest.fixture
async def house():
    async with hub_house() as running:
        yield running


@pytest.mark.parametrize(
    "packet", ["40", "40{}", '40{"token":"bad"}', '40{"token":1}', '40{"token":null,"x":1}', "40[]"]
)
async def test_a_bad_token_gets_unauthorized(house, packet):
    stranger = await house.knocks()

    await stranger.send(packet)

    refusal = await stranger.hear()
    assert refusal[:2] == "44"
    assert json.loads(refusal[2:]) == {"message": "unauthorized", "data": {"code": "unauthorized"}}
    await stranger.leaves()


async def test_a_refused_socket_may_try_again_and_unknown_fields_are_ignored(house):
    member = await house.knocks()
    await member.send('40{"token":"bad"}')
    await member.hear()

    await member.send('40{"token":"alice","colour":"red"}')

    assert (await member.hear()).startswith('40{"sid":"')
    await member.leaves()


async def test_another_namespace_is_refused(house):
    member = await house.joins("alice")

    await member.send('40/admin,{"token":"alice"}')

    assert await member.hear() == '44/admin,{"message":"Invalid namespace"}'
    await member.leaves()


async def test_a_socket_without_login_is_closed():
    async with hub_house(small_config(unauthenticated_s=0.1)) as house:
        stranger = await house.knocks()

        assert await stranger.rest() in ([], ["1"])


async def test_connects_of_one_user_are_limited():
    async with hub_house(small_config(connect_per_s=2), clock=Virtual()) as house:
        members = [await house.joins("alice"), await house.joins("alice")]
        third = await house.knocks()

        await third.send('40{"token":"alice"}')

        refusal = json.loads((await third.hear())[2:])
        assert refusal["message"] == refusal["data"]["code"] == "rate_limited"
        assert refusal["data"]["retry_after_s"] > 0
        for member in (*members, third):
            await member.leaves()


async def test_sockets_of_one_user_are_counted():
    async with hub_house(small_config(sockets_per_user=1)) as house:
        first, second = await house.joins("alice"), await house.knocks()

        await second.send('40{"token":"alice"}')

        assert json.loads((await second.hear())[2:])["message"] == "rate_limited"
        await first.leaves()
        await second.leaves()


async def test_rooms_are_loaded_once_for_all_sockets_of_a_user(house):
    house.loading = asyncio.Event()
    both = [await house.knocks(), await house.knocks()]
    for member in both:
        await member.send('40{"token":"alice"}')
    await until(lambda: house.loads)
    house.loading.set()

    for member in both:
        assert (await member.hear()).startswith("40")
    assert house.loads == 1
    for member in both:
        await member.leaves()


async def test_what_changes_while_rooms_are_loaded_counts(house):
    house.loading = asyncio.Event()
    member = await house.knocks()
    await member.send('40{"token":"alice"}')
    await until(lambda: house.loads)
    outlet = house.hub.outlet
    outlet.join(UserId("alice"), RoomId("attic"))
    outlet.leave(UserId("alice"), GARDEN)
    outlet.to_room(RoomId("attic"), "early", {})
    house.loading.set()

    assert (await member.hear()).startswith("40")
    outlet.to_room(GARDEN, "garden", {})
    outlet.to_room(RoomId("attic"), "attic", {})
    assert await member.event() == ["attic", {}]
    await member.leaves()


async def test_a_socket_that_leaves_while_connecting_leaves_nothing_behind(house):
    house.loading = asyncio.Event()
    member = await house.knocks()
    await member.send('40{"token":"alice"}')
    await until(lambda: house.loads)

    await member.leaves()
    house.loading.set()
    await until(lambda: not house.hub.engine.sockets and not house.hub.audience.users)

    assert house.hub.audience.rooms == {}
    assert house.told == []


async def test_an_ended_login_closes_its_sockets_only(house):
    alice, other = await house.joins("alice:one"), await house.joins("alice:two")

    house.hub.outlet.end_sessions([SessionId("one")], "revoked")

    assert await alice.rest() == ['42["session:ended",{"reason":"revoked"}]', "1"]
    assert (await other.emit("free", {}))["ok"] is True
    await other.leaves()


async def test_a_login_that_ends_while_its_socket_connects_never_gets_in(house):
    house.loading = asyncio.Event()
    member = await house.knocks()
    await member.send('40{"token":"alice"}')
    await until(lambda: house.loads)

    house.hub.outlet.end_sessions([SessionId("alice")], "revoked")
    house.loading.set()

    assert await member.rest() == ["1"]
    late = await house.knocks()
    await late.send('40{"token":"alice"}')
    assert json.loads((await late.hear())[2:])["message"] == "unauthorized"
    await late.leaves()


async def test_drain_sends_everybody_away_and_lets_nobody_in(house):
    members = [await house.joins(name) for name in ("alice", "bob", "carol")]

    await house.hub.drain(0.1)

    for member in members:
        assert await member.rest() == ['42["session:ended",{"reason":"shutdown"}]', "1"]
    with pytest.raises(Exception, match="503"):
        await house.knocks()


async def test_observers_hear_of_each_socket(house):
    member = await house.joins("alice")

    await member.leaves()
    await until(lambda: len(house.told) == 2)

    assert house.told == [("opened", "alice"), ("closed", "alice")]
    assert house.hub.outlet.online(UserId("alice")) is False


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_the_python_client_works_unmodified(house, transports):
    client = socketio.AsyncClient(reconnection=False)
    heard = asyncio.Queue()
    client.on("room:event", heard.put)
    url = f"http://127.0.0.1:{house.port}"
    await client.connect(url, auth={"token": "alice"}, transports=transports)

    for number in range(40):
        house.hub.outlet.to_room(GARDEN, "room:event", Told(str(number)))
    answer = await client.call("free", {"value": "é"}, timeout=5)

    assert answer == {"ok": True, "data": {"value": "é"}}
    async with asyncio.timeout(5):
        assert [(await heard.get())["body"] for _ in range(40)] == [str(n) for n in range(40)]
    await client.disconnect()


async def test_the_python_client_is_told_why_it_is_refused(house):
    client = socketio.AsyncClient(reconnection=False)
    refused = asyncio.get_running_loop().create_future()
    client.on("connect_error", refused.set_result)

    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(f"http://127.0.0.1:{house.port}", auth={"token": "bad"})

    assert await refused == {"message": "unauthorized", "data": {"code": "unauthorized"}}
    await client.disconnect()
