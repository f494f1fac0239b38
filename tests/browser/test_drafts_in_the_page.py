"""What was typed and not sent waits where it was typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.support.browsing import Person
from tests.support.process import Running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MakePerson = Callable[..., Person]


@pytest.fixture
def alice(server: Running, person: MakePerson) -> Person:
    """With two chats; that with Bob is open, and he has said something in it."""
    made = [person(server.base_url, name) for name in ("alice", "bob", "carol")]
    for one in made:
        one.signs_up()
    alice, bob, _ = made
    alice.starts_a_chat_with("carol")
    alice.starts_a_chat_with("bob")
    bob.opens("Alice")
    bob.says("dinner at eight?")
    alice.sees_exactly("dinner at eight?")
    return alice


def box(one: Person) -> Locator:
    return one.page.get_by_label("Message", exact=True)


def kept_by(one: Person) -> list[str]:
    keys: list[str] = one.page.evaluate("Object.keys(localStorage)")
    return [key for key in keys if key.startswith("hubbub.draft.")]


def row(one: Person, room: str) -> Locator:
    return one.page.get_by_role("navigation", name="Rooms").get_by_role("button", name=room)


def test_a_draft_waits_in_its_room_and_is_told_in_the_list(alice: Person, shots: Path) -> None:
    box(alice).press_sequentially("gladly, and")

    alice.opens("Carol")

    expect(box(alice)).to_have_value("")
    expect(row(alice, "Bob")).to_contain_text("Draft: gladly, and")
    alice.keeps_a_picture(shots / "draft.png")
    alice.opens("Bob")
    expect(box(alice)).to_have_value("gladly, and")
    expect(row(alice, "Bob")).not_to_contain_text("Draft")


def test_a_draft_and_what_it_answers_survive_a_reload_and_go_when_sent(
    alice: Person, shots: Path
) -> None:
    alice.message("dinner at eight?").hover()
    alice.message("dinner at eight?").get_by_role("button", name="Reply", exact=True).click()
    alice.page.keyboard.type("gladly")

    alice.page.reload()
    alice.opens("Bob")

    expect(alice.page.get_by_text("Reply to Bob: dinner at eight?")).to_be_visible()
    alice.keeps_a_picture(shots / "draft_reply.png")
    box(alice).press("Enter")
    alice.sees_exactly("dinner at eight?", "gladly")
    expect(alice.message("gladly")).to_contain_text("dinner at eight?")
    assert kept_by(alice) == []
    alice.opens("Carol")
    alice.opens("Bob")
    expect(box(alice)).to_have_value("")


def test_an_edit_between_leaves_the_draft_as_it_was(alice: Person) -> None:
    alice.says("gladlee")
    box(alice).press_sequentially("and then")
    alice.message("gladlee").hover()
    alice.message("gladlee").get_by_role("button", name="Edit").click()

    alice.says("gladly")

    alice.sees_exactly("dinner at eight?", "gladly")
    expect(box(alice)).to_have_value("and then")


def test_logging_out_leaves_no_draft_on_the_device(alice: Person) -> None:
    box(alice).press_sequentially("a secret")
    other = alice.new_tab()
    other.goto(alice.base_url)
    assert len(kept_by(alice)) == 1

    alice.page.get_by_role("button", name="Settings").click()
    alice.page.get_by_role("dialog").get_by_role("button", name="Log out").click()

    for page in (alice.page, other):
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert kept_by(alice) == []
