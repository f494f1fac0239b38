"""Two Chromium call each other directly and through our TURN, by every transport and family."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.calls_browser.conftest import Town
from tests.calls_browser.meeting import Pair, meet, path_of, relayed

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def pair(town: Town, left_chromium: Page, right_chromium: Page) -> Iterator[Pair]:
    met = meet(town, left_chromium, right_chromium)
    yield met
    met.part()


@pytest.mark.usefixtures("open_road")
def test_pages_that_reach_each_other_talk_directly(pair: Pair) -> None:
    pair.calls()

    pair.see_and_hear_each_other()

    assert [path_of(person) for person in pair.people] == ["direct by udp", "direct by udp"]


def test_pages_behind_walls_talk_through_the_server_by_themselves(pair: Pair) -> None:
    pair.calls()

    pair.see_and_hear_each_other()

    assert "relay by udp" in [path_of(person) for person in pair.people]


@pytest.mark.parametrize("host", ["ipv4", "ipv6"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_pages_that_want_a_relay_talk_by_it(pair: Pair, transport: str, host: str) -> None:
    pair.calls(relayed(transport, host))

    pair.see_and_hear_each_other()

    assert [path_of(person) for person in pair.people] == [f"relay by {transport}"] * 2
