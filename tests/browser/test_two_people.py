"""Two people in a real Chromium against a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browsing import Person
from tests.support.process import Running, start_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MakePerson = Callable[..., Person]


@pytest.fixture
def pair(server: Running, person: MakePerson) -> tuple[Person, Person]:
    """Alice and Bob in a direct room that both have open."""
    alice, bob = person(server.base_url, "alice"), person(server.base_url, "bob")
    alice.signs_up()
    bob.signs_up()
    alice.starts_a_chat_with("bob")
    bob.opens("Alice")
    return alice, bob


def test_two_people_chat_and_see_what_became_of_their_messages(
    pair: tuple[Person, Person], shots: Path
) -> None:
    alice, bob = pair

    alice.says("dinner at eight?")
    bob.sees_exactly("dinner at eight?")
    bob.says("gladly")

    alice.sees_exactly("dinner at eight?", "gladly")
    alice.sees_progress("dinner at eight?", "read")
    bob.sees_progress("gladly", "read")
    alice.keeps_a_picture(shots / "chat.png")


def test_what_is_written_without_a_network_is_sent_once_and_in_order_afterwards(
    pair: tuple[Person, Person], shots: Path
) -> None:
    alice, bob = pair
    alice.says("before")
    bob.sees_exactly("before")

    alice.context.set_offline(True)
    alice.says("one", "two", "three")
    alice.sees_progress("three", "waiting")
    bob.says("meanwhile")
    bob.sees_progress("meanwhile", "sent")
    alice.context.set_offline(False)

    for one in pair:
        one.sees_exactly("before", "meanwhile", "one", "two", "three")


def test_a_server_that_is_killed_and_started_again_costs_nothing(
    pair: tuple[Person, Person], server: Running, tmp_path: Path, shots: Path
) -> None:
    alice, bob = pair
    alice.says("before")
    bob.sees_exactly("before")

    server.kill()
    expect(alice.page.get_by_role("status").filter(has_text="No connection")).to_be_visible()
    alice.says("from alice")
    bob.says("from bob")
    alice.sees_progress("from alice", "waiting")
    alice.keeps_a_picture(shots / "offline.png")
    with start_server(tmp_path / "data", port=server.port):
        for one in pair:
            one.sees_progress(f"from {one.name}", "read")
            expect(one.page.locator("li.message")).to_have_count(3)
        alice_saw, bob_saw = (
            one.page.locator("li.message .body").all_text_contents() for one in pair
        )

    assert sorted(alice_saw) == ["before", "from alice", "from bob"]
    assert alice_saw == bob_saw


def test_a_waiting_message_survives_a_reload_of_the_page(
    pair: tuple[Person, Person], server: Running, tmp_path: Path
) -> None:
    alice, bob = pair
    server.kill()
    alice.says("kept")
    alice.sees_progress("kept", "waiting")
    alice.page.close()

    with start_server(tmp_path / "data", port=server.port):
        alice.page = alice.new_tab()
        alice.page.goto(alice.base_url)
        bob.sees_exactly("kept")
        alice.opens("Bob")
        alice.sees_exactly("kept")


def test_reactions_edits_and_deletes_show_on_both_sides(
    pair: tuple[Person, Person], shots: Path
) -> None:
    alice, bob = pair
    alice.says("helo", "oops")
    bob.sees_exactly("helo", "oops")

    bob.message("helo").hover()
    bob.message("helo").get_by_role("button", name="React", exact=True).click()
    bob.message("helo").get_by_role("button", name="React with 👍").click()
    alice.message("helo").hover()
    alice.message("helo").get_by_role("button", name="Edit").click()
    expect(alice.page.get_by_text("Editing your message")).to_be_visible()
    alice.says("hello")
    alice.message("oops").hover()
    alice.message("oops").get_by_role("button", name="Delete").click()

    for one in pair:
        one.sees_exactly("hello", "This message was deleted.")
        expect(one.message("hello").locator(".reaction")).to_have_text("👍 1")
        expect(one.message("hello")).to_contain_text("edited")


def test_typing_and_presence_are_seen_by_the_other(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    head = alice.page.locator("main .room-sub")
    expect(head).to_have_text("online")

    bob.page.get_by_label("Message", exact=True).press_sequentially("hm")
    expect(head).to_have_text("typing …")
    bob.page.close()

    expect(head).to_contain_text("last seen")


def test_unread_messages_are_counted_until_the_room_is_opened(
    server: Running, person: MakePerson
) -> None:
    alice, bob = person(server.base_url, "alice"), person(server.base_url, "bob")
    alice.signs_up()
    bob.signs_up()
    alice.starts_a_chat_with("bob")
    alice.says("one", "two")
    row = bob.page.get_by_role("navigation", name="Rooms").get_by_role("button", name="Alice")
    expect(row.locator(".badge")).to_contain_text("2")

    row.click()

    expect(row.locator(".badge")).to_have_count(0)
    alice.sees_progress("two", "read")


def test_history_comes_as_one_scrolls_up(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.page.close()
    texts = [f"line {number}" for number in range(1, 91)]
    bob.says(*texts)
    bob.sees_progress("line 90", "sent")

    alice.page = alice.new_tab()
    alice.page.goto(alice.base_url)
    alice.opens("Bob")
    expect(alice.page.locator("li.message .body").last).to_have_text("line 90")
    log = alice.page.get_by_role("log", name="Messages")
    for _ in range(5):
        log.evaluate("element => { element.scrollTop = 0; }")
        alice.page.wait_for_timeout(200)

    alice.sees_exactly(*texts)
