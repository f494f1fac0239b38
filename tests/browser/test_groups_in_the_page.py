"""Groups, rooms open to all, mentions and threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browsing import Person
from tests.support.process import Running

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def pair(server: Running, person: Callable[..., Person]) -> tuple[Person, Person]:
    """Alice, who made the open group "Garden", and Bob, who joined it."""
    alice, bob = person(server.base_url, "alice"), person(server.base_url, "bob")
    alice.signs_up()
    bob.signs_up()
    alice.page.get_by_role("button", name="New group").first.click()
    dialog = alice.page.get_by_role("dialog", name="New group")
    dialog.get_by_label("Name of the group").fill("Garden")
    dialog.get_by_label("Anybody on this server").check()
    dialog.get_by_role("button", name="Make the group").click()
    expect(alice.page.get_by_role("heading", name="Garden")).to_be_visible()
    bob.page.get_by_role("button", name="Rooms open to all").click()
    bob.page.get_by_role("button", name="Join").click()
    expect(bob.page.get_by_role("heading", name="Garden")).to_be_visible()
    return alice, bob


def test_who_joins_an_open_room_is_seen_there_and_can_write(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    expect(alice.page.get_by_text("Bob joined")).to_be_visible()

    bob.says("hello all")

    alice.sees_exactly("hello all")
    alice.page.get_by_role("button", name="Members").click()
    members = alice.page.get_by_role("complementary", name="Members").get_by_role("listitem")
    expect(members).to_have_count(2)
    expect(alice.page.get_by_text("2 members")).to_be_visible()


def test_a_mention_is_marked_for_the_one_who_is_meant(
    pair: tuple[Person, Person], shots: Path
) -> None:
    alice, bob = pair
    bob.page.goto(bob.base_url)
    row = bob.page.get_by_role("navigation", name="Rooms").get_by_role("button", name="Garden")
    expect(row).to_be_visible()

    alice.says("gloves, @bob")

    expect(row.locator(".badge.mention")).to_be_visible()
    row.click()
    expect(bob.page.locator(".mentioned.me")).to_have_text("@bob")
    bob.keeps_a_picture(shots / "mention.png")


def test_replies_in_a_thread_stay_out_of_the_main_line(
    pair: tuple[Person, Person], shots: Path
) -> None:
    alice, bob = pair
    alice.says("who waters?")
    bob.message("who waters?").hover()
    bob.message("who waters?").get_by_role("button", name="Reply in a thread").click()
    field = bob.page.get_by_label("Reply in the thread")
    field.fill("I do")
    field.press("Enter")

    alice.page.get_by_role("button", name="1 reply").click()

    thread = alice.page.get_by_role("complementary", name="Thread")
    expect(thread.locator(".body")).to_have_text(["who waters?", "I do"])
    expect(alice.page.locator("main .body")).to_have_text(["who waters?"])
    alice.keeps_a_picture(shots / "thread.png")
