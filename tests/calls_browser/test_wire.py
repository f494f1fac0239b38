"""What somebody who has only read the contract of calls may rely on, against `hubbub serve`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.calls_browser.conftest import SECRET, Foreigner, Town
from tests.calls_browser.meeting import Pair, meet

pytestmark = [pytest.mark.slow, pytest.mark.browser]
LATER = ("call:publish", "call:answer", "call:candidate", "call:subscribe")


@pytest.fixture
def pair(town: Town, left_chromium: Page, right_chromium: Page) -> Iterator[Pair]:
    met = meet(town, left_chromium, right_chromium)
    yield met
    met.part()


@pytest.fixture
def tablet(town: Town, pair: Pair) -> Foreigner:
    """A second device of Ben's."""
    device = Foreigner("tablet", pair.ben.tab)
    device.joins(town.hub, pair.ben.username)
    return device


def shown(call: Any, person: Foreigner) -> Any:
    """`{track_id: muted}` of that person's in a call; None: not in it."""
    for one in call["participants"]:
        if one["device_id"] == person.device_id:
            assert one["user_id"] == person.user_id
            return {track["track_id"]: track["muted"] for track in one["tracks"]}
    return None


def test_the_server_announces_calls(pair: Pair) -> None:
    server = pair.anna.http("GET", "/api/v1/server")

    assert "calls" in server["features"]


def test_a_call_rings_on_all_devices_of_the_other_and_on_none_of_the_callers(
    pair: Pair, tablet: Foreigner
) -> None:
    call = pair.anna.gets("call:start", room_id=pair.room_id, media="video")["call"]

    for device in (pair.ben, tablet):
        rang = device.hears("call:ringing")
        assert rang["call"]["id"] == call["id"]
        assert rang["expires_at"] == call["started_at"] + 45_000
    assert pair.anna.heard("call:ringing") == []
    assert {key: call[key] for key in ("room_id", "media", "mode", "state", "started_by")} == {
        "room_id": pair.room_id, "media": "video", "mode": "p2p", "state": "ringing",
        "started_by": pair.anna.user_id,
    }  # fmt: skip
    assert "reason" not in call


def test_the_first_device_to_accept_has_the_call_and_the_other_stops(
    pair: Pair, tablet: Foreigner
) -> None:
    call = pair.anna.gets("call:start", room_id=pair.room_id, media="video")["call"]
    tablet.hears("call:ringing")

    accepted = pair.ben.gets("call:accept", call_id=call["id"])["call"]

    elsewhere = tablet.hears("call:state", lambda told: told["call"].get("reason"))
    active = pair.anna.hears("call:state", lambda told: told["call"]["state"] == "active")["call"]
    again = pair.ben.gets("call:accept", call_id=call["id"])["call"]
    refused = tablet.asks("call:accept", call_id=call["id"])
    assert elsewhere["call"]["reason"] == "answered_elsewhere"
    assert (accepted["state"], again["id"]) == ("active", call["id"])
    assert refused["error"]["code"] == "conflict"
    for person in pair.people:
        assert shown(active, person) == {"mic": False, "camera": False}


def test_tickets_are_those_of_the_rest_credentials(pair: Pair) -> None:
    started = pair.anna.gets("call:start", room_id=pair.room_id, media="audio")

    turn = [one for one in started["ice_servers"] if "username" in one]
    expiry, _, user_id = turn[0]["username"].partition(":")
    proof = hmac.new(SECRET.encode(), turn[0]["username"].encode(), hashlib.sha1).digest()
    assert turn[0]["credential"] == base64.b64encode(proof).decode()
    assert user_id == pair.anna.user_id
    assert time.time() < int(expiry) < time.time() + 86_400


def test_signals_come_in_the_order_sent_and_as_they_were(pair: Pair) -> None:
    call = pair.anna.gets("call:start", room_id=pair.room_id, media="audio")["call"]
    pair.ben.gets("call:accept", call_id=call["id"])
    signals = [{"number": number, "any": [None, "ü", 1.5]} for number in range(20)]

    for signal in signals:
        sent = {"call_id": call["id"], "to_device_id": pair.anna.device_id, "signal": signal}
        pair.ben.gets("call:signal", **sent)

    pair.anna.hears("call:signal", lambda told: told["signal"]["number"] == 19)
    heard = pair.anna.heard("call:signal")
    assert [told["signal"] for told in heard] == signals
    assert {told["from_device_id"] for told in heard} == {pair.ben.device_id}


def test_what_is_muted_and_shown_is_told_to_the_other(pair: Pair) -> None:
    call = pair.calls()
    pair.see_and_hear_each_other()

    pair.anna.does("leg.mutes", "audio", True)
    pair.anna.gets("call:mute", call_id=call["id"], track_id="screen", muted=False)

    wanted = {"mic": True, "camera": False, "screen": False}
    pair.ben.hears("call:state", lambda told: shown(told["call"], pair.anna) == wanted)


def test_who_leaves_ends_a_call_of_two_and_the_log_says_so(pair: Pair) -> None:
    call = pair.calls()
    pair.see_and_hear_each_other()

    pair.ben.does("leaves")

    ended = pair.anna.hears("call:state", lambda told: told["call"]["state"] == "ended")["call"]
    event = pair.anna.hears("room:event", lambda event: event["type"] == "call")
    late = pair.anna.asks("call:accept", call_id=call["id"])
    assert ended["reason"] == "hung_up"
    assert event["content"].keys() == {
        "call_id", "media", "started_at", "ended_at", "outcome", "participants"
    }  # fmt: skip
    assert (event["content"]["call_id"], event["content"]["outcome"]) == (call["id"], "hung_up")
    assert late["error"]["code"] == "conflict"


def test_a_call_that_is_declined_has_ended(pair: Pair) -> None:
    call = pair.anna.gets("call:start", room_id=pair.room_id, media="audio")["call"]

    pair.ben.gets("call:decline", call_id=call["id"])

    ended = pair.anna.hears("call:state", lambda told: told["call"]["state"] == "ended")["call"]
    assert ended["reason"] == "declined"


def test_a_stranger_finds_no_call_and_nobody_signals_past_it(town: Town, pair: Pair) -> None:
    call = pair.anna.gets("call:start", room_id=pair.room_id, media="audio")["call"]
    stranger = Foreigner("stranger", pair.ben.tab)
    stranger.joins(town.hub, f"stranger-{call['id'][-12:]}")
    signal = {"call_id": call["id"], "to_device_id": stranger.device_id, "signal": {}}

    codes = [
        stranger.asks("call:accept", call_id=call["id"])["error"]["code"],
        stranger.asks("call:start", room_id=pair.room_id, media="audio")["error"]["code"],
        pair.anna.asks("call:signal", **signal)["error"]["code"],
        pair.anna.asks("call:start", room_id=pair.room_id, media="smell")["error"]["code"],
        pair.anna.asks("call:start", room_id=pair.room_id, media="audio", x=1)["error"]["code"],
    ]

    assert codes == ["not_found", "not_found", "not_found", "invalid", "invalid"]


@pytest.mark.parametrize("event", LATER)
def test_what_comes_with_the_sfu_is_not_found(pair: Pair, event: str) -> None:
    assert pair.anna.asks(event, call_id="x")["error"]["code"] == "not_found"


def test_the_call_moves_to_another_device_of_the_same_person(pair: Pair, tablet: Foreigner) -> None:
    call = pair.anna.gets("call:start", room_id=pair.room_id, media="audio")["call"]
    pair.ben.gets("call:accept", call_id=call["id"])

    tablet.gets("call:accept", call_id=call["id"], take_over=True)

    told = pair.ben.hears("call:state", lambda told: told["call"].get("reason"))
    assert told["call"]["reason"] == "answered_elsewhere"
    pair.anna.hears(
        "call:state",
        lambda told: shown(told["call"], tablet) is not None and not shown(told["call"], pair.ben),
    )
