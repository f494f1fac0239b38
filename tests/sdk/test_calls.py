"""Calls by the Python SDK at a real server: ringing, answering, what devices tell each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from hubbub.calls.call import Call
from hubbub.calls.shapes import CallChanged
from hubbub.errors import Conflict, Forbidden, LineBroken, NotFound

from tests.support.process import Running, start_server
from tests.support.sdk_callers import People, Person, people
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("calls") / "data"
    with start_server(folder, "--limits", "off") as running:
        yield running


@pytest.fixture
async def house(server: Running) -> AsyncIterator[People]:
    async with people(server.base_url) as opened:
        yield opened


_number = iter(range(1000))


async def two(house: People) -> tuple[Person, Person, str]:
    """Alice, Bob and the id of their room."""
    number = next(_number)
    alice, bob = await house.join(f"alice{number}"), await house.join(f"bob{number}")
    room = await house.direct(alice, bob.id)
    await until(lambda: room.id in bob.client.rooms)
    return alice, bob, room.id


async def talking(house: People) -> tuple[Person, Person, Call, Call]:
    alice, bob, room_id = await two(house)
    started = await alice.client.calls.start(room_id, "video")
    accepted = await bob.client.calls.accept((await bob.rings()).call.id)
    await until(lambda: started.info.state == "active")
    return alice, bob, started, accepted


async def test_a_call_rings_and_is_answered(house: People) -> None:
    alice, bob, room_id = await two(house)

    started = await alice.client.rooms[room_id].call("video")
    ringing = await bob.rings()
    accepted = await bob.client.calls.accept(ringing.call.id)

    await until(lambda: started.info.state == "active")
    assert [each.device_id for each in started.others] == [bob.device_id]
    assert [each.device_id for each in accepted.others] == [alice.device_id]
    assert {track.source for track in accepted.own_tracks} == {"mic", "camera"}
    assert not bob.client.calls.ringing
    assert any("turn:" in str(each.urls) for each in accepted.ice_servers)


async def test_what_was_said_before_the_answer_and_comes_after_it_is_no_news(house: People) -> None:
    alice, bob, room_id = await two(house)
    started = await alice.client.calls.start(room_id, "video")
    ringing = await bob.rings()
    accepted = await bob.client.calls.accept(ringing.call.id)

    late = [bob.client.calls.hear(each) for each in (CallChanged(ringing.call), ringing)]

    assert late == [False, False]
    assert not accepted.over
    assert not bob.client.calls.ringing
    await accepted.leave()
    await alice.hears_end()
    assert not alice.client.calls.hear(CallChanged(ringing.call))
    assert started.over
    assert room_id not in alice.client.calls.running


async def test_a_declined_call_is_over_for_both(house: People) -> None:
    alice, bob, room_id = await two(house)
    started = await alice.client.calls.start(room_id)

    await bob.client.calls.decline((await bob.rings()).call.id)

    assert await alice.hears_end() == "declined"
    assert (started.over, started.reason) == (True, "declined")
    assert not alice.client.calls.joined
    await until(lambda: room_id not in bob.client.calls.running)


async def test_signals_reach_the_other_device_as_they_were_sent(house: People) -> None:
    alice, bob, started, accepted = await talking(house)
    signal = {"type": "offer", "sdp": "v=0", "nested": [None, 1, "ü"]}

    await accepted.signal(alice.device_id, signal)

    heard = await alice.gets_signal()
    assert (heard.call_id, heard.from_device_id) == (started.id, bob.device_id)
    assert heard.signal == signal


async def test_a_mute_is_told(house: People) -> None:
    _alice, _bob, started, accepted = await talking(house)

    await accepted.mute("mic")
    await accepted.mute("screen", False)

    def told() -> dict[str, bool]:
        return {track.source: track.muted for each in started.others for track in each.tracks}

    await until(lambda: told() == {"mic": True, "camera": False, "screen": False})


async def test_who_leaves_is_out_at_once_and_the_other_hears_it(house: People) -> None:
    alice, _bob, started, accepted = await talking(house)

    await accepted.leave()

    assert accepted.over
    assert await alice.hears_end() == "hung_up"
    assert started.over


async def test_only_the_starter_and_those_who_run_the_room_end_it_for_all(house: People) -> None:
    _alice, bob, started, _accepted = await talking(house)

    await started.end()

    assert await bob.hears_end() == "hung_up"
    with pytest.raises(Conflict):
        await bob.client.calls.accept(started.id)


async def test_a_client_that_lost_its_line_is_in_its_call_again(house: People) -> None:
    alice, bob, started, accepted = await talking(house)

    await bob.client.disconnect()
    with pytest.raises(LineBroken):
        await accepted.mute("mic")
    await bob.client.connect()
    await accepted.mute("mic")

    await until(lambda: started.others and started.others[0].tracks[0].muted)
    assert not accepted.over
    await alice.client.calls.joined[started.id].signal(bob.device_id, {"still": "there"})
    assert (await bob.gets_signal()).signal == {"still": "there"}


async def test_who_left_without_a_line_is_out_when_it_is_back(house: People) -> None:
    alice, bob, _started, accepted = await talking(house)

    await bob.client.disconnect()
    await accepted.leave()
    await bob.client.connect()

    assert await alice.hears_end() == "hung_up"
    assert accepted.over


async def test_a_call_that_ended_meanwhile_is_over_on_the_new_line(house: People) -> None:
    _alice, bob, started, accepted = await talking(house)

    await bob.client.disconnect()
    await started.end()
    await bob.client.connect()

    await until(lambda: accepted.over)
    assert not bob.client.calls.joined


async def test_the_news_of_a_call_come_in_order_and_end_with_it(house: People) -> None:
    alice, _bob, started, accepted = await talking(house)
    for number in range(5):
        await accepted.signal(alice.device_id, {"number": number})
    await accepted.leave()

    heard = [item async for item in started.news()]

    signals = [item.signal["number"] for item in heard if hasattr(item, "signal")]
    assert signals == [0, 1, 2, 3, 4]
    assert started.over


async def test_refusals_have_the_servers_codes(house: People) -> None:
    alice, _bob, started, _accepted = await talking(house)
    stranger = await house.join(f"carol{next(_number)}")

    with pytest.raises(NotFound):
        await stranger.client.calls.accept(started.id)
    with pytest.raises(NotFound):
        await started.signal("nobody", {})
    await started.leave()
    with pytest.raises((Conflict, Forbidden)):
        await alice.client.request(
            "call:mute", {"call_id": started.id, "track_id": "mic", "muted": True}
        )
