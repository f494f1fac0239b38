"""Firefox ESR and Chromium call each other, by VP8: directly and through our TURN."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.calls_browser.conftest import Evaluating, Town
from tests.calls_browser.meeting import Pair, meet, path_of, relayed

pytestmark = [pytest.mark.slow, pytest.mark.browser]
VP8 = "video/VP8"


@pytest.fixture
def pair(town: Town, left_firefox: Evaluating, right_chromium: Page) -> Iterator[Pair]:
    met = meet(town, left_firefox, right_chromium)
    yield met
    met.part()


def talk_by_vp8(pair: Pair) -> None:
    pair.see_and_hear_each_other()
    for person in pair.people:
        stats = person.stats()
        assert (stats["video"]["codec"], stats["sends"]) == (VP8, VP8)


@pytest.mark.usefixtures("open_road")
def test_firefox_calls_chromium_directly(pair: Pair) -> None:
    pair.calls()

    talk_by_vp8(pair)

    assert [path_of(person) for person in pair.people] == ["direct by udp", "direct by udp"]


@pytest.mark.usefixtures("open_road")
def test_chromium_calls_firefox_which_then_offers(pair: Pair) -> None:
    pair.turned.calls()

    talk_by_vp8(pair)


def test_firefox_behind_a_wall_gets_through_by_itself(pair: Pair) -> None:
    pair.calls()

    talk_by_vp8(pair)

    assert "relay by udp" in [path_of(person) for person in pair.people]


@pytest.mark.parametrize(
    ("transport", "host"), [("udp", "ipv4"), ("udp", "ipv6"), ("tcp", "ipv4"), ("tls", "name")]
)
def test_firefox_and_chromium_talk_by_a_relay(pair: Pair, transport: str, host: str) -> None:
    # Firefox takes no `turns:` with a numeric address. Chromium asks for "hub.test." with a dot at
    # its end, which no hosts file has: over TLS it gets the number.
    answering = relayed(transport, "ipv4" if host == "name" else host)

    pair.calls(relayed(transport, host), answering=answering)

    talk_by_vp8(pair)
    assert [path_of(person) for person in pair.people] == [f"relay by {transport}"] * 2
