"""Calls and the rest of the page: who types, who reads, small windows, several who call at once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, ViewportSize, expect

from tests.support.browsing import PATIENCE_MS, Person
from tests.support.callers import Caller, MakePerson, connect
from tests.support.process import Running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MakeCallers = Callable[..., list[Caller]]

SILENT = """
window.AudioContext = class extends AudioContext { get state() { return "suspended"; } };
"""
"""A tab that nobody has touched: the browser plays nothing in it."""
NO_DEVICES = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotFoundError"); };
"""
KEPT = ("RTCPeerConnections", "AudioHandlers")
ZOOMED: ViewportSize = {"width": 640, "height": 400}
"""What 1280x800 are at 200 %."""
SMALL_PHONE: ViewportSize = {"width": 320, "height": 568}
ON_ITS_SIDE: ViewportSize = {"width": 844, "height": 390}
PHONE: ViewportSize = {"width": 360, "height": 640}


def title(one: Caller) -> str:
    return one.person.name.title()


def is_in_view(element: Locator) -> None:
    """All of it, without scrolling."""
    expect(element).to_be_in_viewport(ratio=1)


def test_the_second_click_of_a_double_one_is_no_second_call(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair

    alice.button(f"Call {title(bob)}").dblclick()
    expect(bob.ringing).to_be_visible()
    bob.button("Answer").dblclick()

    alice.is_in("connected")
    for one in pair:
        expect(one.page.get_by_role("dialog", name="No call")).to_be_hidden()


def test_of_two_who_call_at_once_either_can_be_answered(callers: MakeCallers) -> None:
    alice, bob, carol = callers("alice", "bob", "carol")
    for one in (alice, carol):
        one.person.starts_a_chat_with(bob.person.name)
    alice.presses(f"Call {title(bob)}")
    expect(bob.ringing).to_be_visible()
    carol.presses(f"Call {title(bob)}")
    first = bob.page.get_by_role("alert", name=f"{title(alice)} calls")

    first.get_by_role("button", name="Answer").click()

    alice.is_in("connected")
    second = bob.page.get_by_role("alert", name=f"{title(carol)} calls")
    second.get_by_role("button", name="Hang up and answer").click()
    alice.is_in("ended")
    carol.is_in("connected")


def test_what_was_open_when_it_rang_does_not_lie_over_the_call(
    pair: tuple[Caller, Caller],
) -> None:
    alice, bob = pair
    for opened in ("Settings", "Calls"):
        bob.presses(opened)
        connect(alice, bob)
        expect(bob.page.locator("dialog")).to_have_count(0)
        bob.presses("Hang up")
        for one in pair:
            one.puts_away()
    bob.page.evaluate("localStorage.setItem('hubbub.calls', '{}')")
    bob.page.reload()
    bob.person.opens(title(alice))
    bob.presses(f"Video call {title(alice)}")
    expect(bob.page.get_by_role("dialog", name="Ready to call?")).to_be_visible()

    connect(alice, bob)

    expect(bob.page.locator("dialog")).to_have_count(0)


def test_who_silenced_a_video_call_is_told_that_the_answer_shows_him(
    pair: tuple[Caller, Caller],
) -> None:
    alice, bob = pair
    alice.presses(f"Video call {title(bob)}")
    expect(bob.ringing).to_be_visible()

    bob.types("Escape")

    card = bob.page.get_by_role("alert", name=f"{title(alice)} calls")
    card.get_by_role("button", name="Answer with video").click()
    alice.sees_moving(".tile.face video")


def test_whoever_declines_while_he_writes_goes_on_writing(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair
    bob.page.get_by_label("Message", exact=True).press_sequentially("as I was ")

    alice.presses(f"Call {title(bob)}")
    bob.presses("Decline")
    expect(bob.ringing).to_be_hidden()
    bob.page.keyboard.type("saying")

    expect(bob.page.get_by_label("Message", exact=True)).to_have_value("as I was saying")


def test_a_tab_that_the_browser_keeps_silent_leaves_the_ringing_to_one_that_is_heard(
    pair: tuple[Caller, Caller], house: Running
) -> None:
    alice, bob = pair
    bob.page.close()
    silent = bob.person.new_tab()
    silent.add_init_script(SILENT)
    silent.goto(house.base_url)
    alice.presses(f"Call {title(bob)}")
    expect(silent.locator("dialog.ringing")).to_have_attribute("data-sound", "blocked")

    heard = bob.person.new_tab()
    heard.goto(house.base_url)
    heard.get_by_role("heading", name=f"{title(alice)} calls").click()

    expect(heard.locator("dialog.ringing")).to_have_attribute("data-sound", "playing")


def test_beside_the_chat_a_call_hides_nothing_that_was_said_last(
    pair: tuple[Caller, Caller],
) -> None:
    alice, bob = pair
    connect(alice, bob)

    for size in (None, PHONE):
        if size:
            alice.page.set_viewport_size(size)
        alice.types("c")
        expect(alice.button(f"Back to the call with {title(bob)}")).to_be_focused()
        alice.person.says(*(f"line {number} of what I have to say" for number in range(12)))
        newest = alice.page.locator("li.message .bubble").last
        tile, said = alice.page.locator(".floating").bounding_box(), newest.bounding_box()
        assert tile is not None
        assert said is not None
        assert tile["y"] + tile["height"] < said["y"]
        is_in_view(alice.page.locator(".floating"))
        is_in_view(alice.button(f"Back to the call with {title(bob)}"))
        alice.presses(f"Back to the call with {title(bob)}")


def test_a_call_fills_the_page_also_where_no_conversation_was_open(
    pair: tuple[Caller, Caller],
) -> None:
    alice, bob = pair
    bob.page.reload()

    connect(alice, bob)

    sizes = [one.page.locator("main.stage").bounding_box() for one in pair]
    assert sizes[0] == sizes[1]


def test_from_a_call_one_comes_to_the_chat_of_those_who_talk(callers: MakeCallers) -> None:
    alice, bob, carol = callers("alice", "bob", "carol")
    for one in (alice, carol):
        one.person.starts_a_chat_with(bob.person.name)
    bob.person.opens(title(carol))
    connect(alice, bob)

    bob.types("c")

    expect(bob.page.get_by_role("heading", name=title(alice))).to_be_visible()


@pytest.mark.parametrize("size", [ZOOMED, SMALL_PHONE, ON_ITS_SIDE], ids=str)
def test_all_answers_to_a_call_are_in_view_at_every_size(
    callers: MakeCallers, size: ViewportSize
) -> None:
    alice, bob = callers("alice", "bob")
    alice.page.get_by_role("button", name="Settings").click()
    long = "Maximiliane-Theodora von Hohenzollern-Sigmaringen-Wolfenbüttel"
    alice.page.get_by_label("Display name").fill(long)
    alice.presses("Save")
    alice.types("Escape")
    alice.person.starts_a_chat_with(bob.person.name)
    for one in (alice, bob):
        one.page.set_viewport_size(size)

    alice.presses(f"Video call {title(bob)}")

    for name in ("Decline", "Answer with video", "Without camera"):
        is_in_view(bob.button(name))
    for name in ("Mute", "Hang up"):
        is_in_view(alice.button(name))
    bob.presses("Answer with video")
    bob.is_in("connected")
    head = bob.page.locator(".stage-head").bounding_box()
    assert head is not None
    assert head["height"] < 60


def test_the_words_on_the_connection_are_in_view_on_a_phone_and_go_with_escape(
    pair: tuple[Caller, Caller],
) -> None:
    alice, bob = pair
    alice.page.set_viewport_size(PHONE)
    connect(alice, bob)

    alice.page.locator(".quality-button").click()

    is_in_view(alice.page.locator(".quality-words"))
    alice.types("Escape")
    expect(alice.page.locator(".quality-words")).to_be_hidden()


def test_whoever_logs_out_in_a_call_is_told_of_no_other_device(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair
    connect(alice, bob)

    bob.presses("Settings")
    bob.page.get_by_role("dialog").get_by_role("button", name="Log out").click()

    alice.reads(f"{title(bob)} hung up.")
    expect(bob.page).to_have_title("Hubbub")
    expect(bob.page.get_by_role("alert").get_by_text("signed out")).to_be_hidden()


def test_without_devices_the_first_call_says_what_is_missing(
    person: MakePerson, house: Running, callers: MakeCallers
) -> None:
    (bob,) = callers("bob")
    alice: Person = person(house.base_url, "deviceless")
    alice.context.add_init_script(NO_DEVICES)
    alice.signs_up()
    alice.starts_a_chat_with(bob.person.name)

    alice.page.get_by_role("button", name=f"Video call {title(bob)}").click()

    check = alice.page.get_by_role("dialog", name="Ready to call?")
    expect(check.get_by_text("There is no microphone. There is no camera.")).to_be_visible()
    check.get_by_role("button", name="Start the video call").click()
    trouble = alice.page.get_by_role("alert").filter(has_text="There is no microphone.")
    trouble.get_by_role("button", name="Close").click()
    expect(trouble).to_be_hidden()


def test_a_group_that_declines_is_not_one_person_in_the_small_tile_either(
    callers: MakeCallers,
) -> None:
    alice, bob = callers("alice", "bob")
    alice.presses("New group")
    dialog = alice.page.get_by_role("dialog", name="New group")
    dialog.get_by_label("Name of the group").fill("Garden")
    dialog.get_by_label("Find people").fill(bob.person.name)
    dialog.get_by_role("button", name=f"Add {title(bob)}").click()
    dialog.get_by_role("button", name="Make the group").click()
    alice.presses("Call Garden")
    alice.button(re.compile("^Chat, with the call")).click()

    bob.presses("Decline")

    expect(alice.page.locator(".floating")).to_contain_text("Nobody took the call.")


def test_calls_that_are_over_leave_nothing_in_the_page(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair
    browser = alice.person.context.new_cdp_session(alice.page)
    browser.send("Performance.enable")

    def kept() -> float:
        browser.send("HeapProfiler.collectGarbage")
        metrics = browser.send("Performance.getMetrics")["metrics"]
        return sum(one["value"] for one in metrics if one["name"] in KEPT)

    for _ in range(5):
        connect(alice, bob)
        alice.types("Shift+H")
        for one in pair:
            one.puts_away()

    give_up = time.monotonic() + PATIENCE_MS / 1000
    while kept() >= 5 and time.monotonic() < give_up:
        alice.page.wait_for_timeout(100)
    assert kept() < 5
