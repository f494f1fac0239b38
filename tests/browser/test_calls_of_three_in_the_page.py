"""A group of three, two of whom talk: what the third is offered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.support.callers import Caller, MakePerson
from tests.support.process import Running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MakeCallers = Callable[..., list[Caller]]
FULL = "This server connects two at a time: you can join when one of them has left."


def title(one: Caller) -> str:
    return one.person.name.title()


def banner(one: Caller) -> Locator:
    return one.page.locator(".call-banner")


@pytest.fixture
def trio(callers: MakeCallers) -> list[Caller]:
    """Alice and Bob talk in a group; Carol, who has it open, does not."""
    alice, bob, carol = trio = callers("alice", "bob", "carol")
    alice.presses("New group")
    dialog = alice.page.get_by_role("dialog", name="New group")
    dialog.get_by_label("Name of the group").fill("Garden")
    for one in (bob, carol):
        dialog.get_by_label("Find people").fill(one.person.name)
        dialog.get_by_role("button", name=f"Add {title(one)}").click()
    dialog.get_by_role("button", name="Make the group").click()
    carol.person.opens("Garden")
    alice.presses("Call Garden")
    bob.presses("Answer")
    alice.is_in("connected")
    return trio


def test_a_third_is_told_who_talks_and_may_join_when_one_has_left(
    trio: list[Caller], shots: Path
) -> None:
    alice, bob, carol = trio
    expect(banner(carol)).to_contain_text(f"with {title(alice)} and {title(bob)}")
    expect(banner(carol)).to_contain_text(FULL)
    expect(carol.page.get_by_role("button", name="Join")).to_have_count(0)
    carol.person.keeps_a_picture(shots / "call_full.png")

    bob.presses("Hang up")

    banner(carol).get_by_role("button", name="Join").click()
    for one in (alice, carol):
        one.is_in("connected")
    bob.person.opens("Garden")
    expect(banner(bob)).to_contain_text(FULL)


def test_whoever_calls_where_two_talk_is_told_why_he_cannot(trio: list[Caller]) -> None:
    alice, bob, carol = trio
    alice.presses("End for all")
    carol.presses("Call Garden")
    bob.presses("Answer")
    bob.is_in("connected")

    alice.page.locator("li.call-entry").get_by_role("button", name="Call again").click()

    expect(alice.page.get_by_role("dialog", name="No call")).to_contain_text(FULL)


def test_another_device_of_one_of_two_may_take_the_call_over(
    trio: list[Caller], person: MakePerson, house: Running
) -> None:
    alice, bob, _ = trio
    phone = person(house.base_url, bob.person.name)
    phone.logs_in()
    phone.is_in()
    phone.opens("Garden")

    phone.page.get_by_role("button", name="Move it to this device").click()

    bob.reads("The call goes on at another of your devices.")
    alice.is_in("connected")
