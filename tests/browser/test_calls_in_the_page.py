"""Calls as people make them: two real Chromium pages, a real server, pictures that move."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.callers import Caller, MakePerson, connect
from tests.support.process import ROOT, Running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = ROOT / "clients" / "node_modules" / "axe-core" / "axe.min.js"

HIDDEN = """
() => {
  window.told = [];
  window.Notification = class extends Notification {
    constructor(title, options) { super(title, options); window.told.push(title); }
    close() { super.close(); window.told.pop(); }
  };
  Object.defineProperty(document, "visibilityState", {get: () => "hidden"});
}
"""
"""A tab that is not in front, and a list of the notifications that stand: headless has none."""
HEARD = """
() => [...document.querySelectorAll("audio")].some(
  one => one.srcObject && !one.paused && one.currentTime > 0)
"""
FULL = """
() => {
  const {width, height} = document.querySelector("main.stage").getBoundingClientRect();
  return document.fullscreenElement && width === innerWidth && height === innerHeight;
}
"""
MakeCallers = Callable[..., list[Caller]]


def title(one: Caller) -> str:
    return one.person.name.title()


def test_a_call_rings_is_answered_and_both_see_and_hear_each_other(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair

    alice.presses(f"Video call {bob.person.name.title()}")

    expect(bob.ringing).to_have_attribute("data-sound", "playing")
    expect(bob.page).to_have_title(re.compile(f"{alice.person.name.title()} calls"))
    expect(bob.ringing.get_by_role("heading")).to_be_focused()
    alice.is_in("ringing")
    bob.person.keeps_a_picture(shots / "ringing.png")
    bob.presses("Answer with video")
    for one in pair:
        one.is_in("connected")
        one.sees_moving(".tile.face video")
        one.sees_moving(".own-corner video")
        one.page.wait_for_function(HEARD)
        expect(one.button(re.compile("^Connection: "))).to_be_visible()
    expect(bob.ringing).to_be_hidden()
    alice.person.keeps_a_picture(shots / "call.png")


def test_keys_mute_and_stop_the_camera_and_the_other_sees_it_but_not_while_one_writes(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair
    connect(alice, bob)

    alice.types("m")
    alice.types("v")

    face = bob.page.locator(".tile.face")
    expect(face.get_by_text("Microphone off")).to_be_attached()
    expect(face).to_have_attribute("data-picture", "off")
    bob.person.keeps_a_picture(shots / "muted.png")
    alice.types("c")
    alice.person.says("vms")
    bob.types("c")
    bob.person.sees_exactly("vms")
    bob.types("Escape")
    bob.page.get_by_role("log").focus()
    bob.types("c")
    alice.presses("Unmute")
    expect(face.get_by_text("Microphone off")).not_to_be_attached()
    expect(face).to_have_attribute("data-picture", "off")
    alice.page.get_by_role("log").focus()
    alice.types("v")
    bob.sees_moving(".tile.face video")


def test_on_the_whole_screen_a_second_caller_is_seen_and_can_be_declined(
    callers: MakeCallers, shots: Path
) -> None:
    alice, bob, carol = callers("alice", "bob", "carol")
    for one in (bob, carol):
        one.person.starts_a_chat_with(alice.person.name)
    bob.presses(f"Video call {title(alice)}")
    expect(alice.ringing).to_be_visible()
    carol.presses(f"Call {title(alice)}")
    of_bob = alice.page.get_by_role("alert", name=f"{title(bob)} calls")
    of_bob.get_by_role("button", name="Answer with video").click()
    alice.is_in("connected")

    alice.types("f")

    alice.page.wait_for_function(FULL)
    alice.person.keeps_a_picture(shots / "full_screen.png")
    of_carol = alice.page.get_by_role("alert", name=f"{title(carol)} calls")
    of_carol.get_by_role("button", name="Decline").click()
    carol.is_in("ended")
    alice.types("c")
    alice.page.wait_for_function("() => document.fullscreenElement === null")


def test_keys_open_windows_for_the_picture(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair
    connect(alice, bob)
    alice.sees_moving(".tile.face video")

    alice.types("f")
    alice.page.wait_for_function(FULL)
    alice.types("f")
    alice.page.wait_for_function("() => document.fullscreenElement === null")
    alice.types("p")
    alice.page.wait_for_function("() => document.pictureInPictureElement?.videoWidth > 0")
    alice.types("c")
    expect(alice.page.locator(".floating")).to_be_visible()

    assert alice.page.evaluate("document.pictureInPictureElement !== null")
    alice.types("?")
    expect(alice.page.get_by_role("dialog", name="Keys in a call")).to_contain_text("Hang up")


def test_who_looks_at_another_tab_gets_a_notification_as_long_as_it_rings(
    pair: tuple[Caller, Caller],
) -> None:
    alice, bob = pair
    bob.person.context.grant_permissions(["notifications"])
    bob.page.evaluate(HIDDEN)

    alice.presses(f"Call {bob.person.name.title()}")

    told = [f"{alice.person.name.title()} calls"]
    bob.page.wait_for_function("told => window.told.join() === told.join()", arg=told)
    alice.presses("Hang up")
    bob.page.wait_for_function("() => window.told.length === 0")


def test_a_shared_screen_is_shown_large_until_it_is_stopped(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair
    connect(alice, bob)

    alice.presses("Share screen")

    bob.sees_moving(".tile.screen video")
    alice.reads("You are sharing your screen")
    bob.person.keeps_a_picture(shots / "screen.png")
    alice.presses("Stop")
    expect(bob.page.locator(".tile.screen")).to_be_hidden()
    bob.sees_moving(".tile.face video")


def test_a_missed_call_is_counted_listed_and_called_back(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair
    alice_title, bob_title = (one.person.name.title() for one in pair)
    bob.page.reload()

    alice.presses(f"Call {bob_title}")
    expect(bob.ringing).to_be_visible()
    bob.types("Escape")
    expect(bob.ringing).to_be_hidden()
    expect(bob.button("Answer")).to_be_visible()
    alice.presses("Hang up")
    bob.presses("Calls, 1 missed")

    calls = bob.page.get_by_role("dialog", name="Calls", exact=True)
    expect(calls.locator(".call-row.missed")).to_contain_text("Missed call")
    bob.person.keeps_a_picture(shots / "call-list.png")
    calls.get_by_role("button", name=f"Call {alice_title}").click()
    alice.presses("Answer")
    bob.is_in("connected")
    expect(bob.button("Calls")).to_be_visible()


def test_who_was_declined_is_told_and_calls_again(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair
    alice.presses(f"Video call {bob.person.name.title()}")
    bob.presses("Decline")

    alice.reads(f"{bob.person.name.title()} declined.")
    alice.presses("Call again")
    bob.presses("Without camera")

    alice.is_in("connected")
    bob.sees_moving(".tile.face video")
    expect(alice.page.locator(".tile.face")).to_have_attribute("data-picture", "off")


def test_a_call_goes_on_while_one_reads_and_its_end_tells_how_it_was(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair
    connect(alice, bob)

    bob.person.opens(alice.person.name.title())
    bob.sees_moving(".floating video")
    bob.person.says("I see you while I write")
    bob.person.keeps_a_picture(shots / "beside.png")
    bob.presses(f"Back to the call with {alice.person.name.title()}")
    bob.sees_moving(".tile.face video")
    alice.will_press("How was the connection?")
    bob.types("Shift+H")

    alice.reads(f"{bob.person.name.title()} hung up.")
    page = alice.page.get_by_role("dialog", name=re.compile("connection|bad"))
    expect(page.get_by_role("region", name="You")).to_contain_text("over UDP")
    alice.person.keeps_a_picture(shots / "quality.png")
    page.get_by_role("button", name="Close").click()
    entry = bob.page.locator(".call-entry")
    expect(entry).to_contain_text(re.compile(r"Video call, 0:\d\d"))
    expect(entry.get_by_role("button", name="Call again")).to_be_visible()


def test_a_page_that_is_loaded_anew_is_in_the_call_again(pair: tuple[Caller, Caller]) -> None:
    alice, bob = pair
    connect(alice, bob)

    bob.page.reload()

    bob.is_in("connected")
    for one in pair:
        one.sees_moving(".tile.face video")
    alice.is_in("connected")


def test_a_line_to_the_server_that_breaks_is_told_and_the_picture_goes_on(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair
    connect(alice, bob)

    alice.person.context.set_offline(True)

    alice.is_in("reconnecting")
    expect(alice.page.get_by_role("main", name="Call").get_by_role("status")).to_contain_text(
        "econnect"
    )
    alice.person.keeps_a_picture(shots / "reconnecting.png")
    alice.sees_moving(".tile.face video")
    alice.person.context.set_offline(False)
    alice.is_in("connected")


def test_a_call_moves_to_another_device_of_the_same_person(
    pair: tuple[Caller, Caller], person: MakePerson, house: Running
) -> None:
    alice, bob = pair
    connect(alice, bob)
    tablet = Caller(person(house.base_url, bob.person.name))
    tablet.person.logs_in()
    tablet.person.opens(alice.person.name.title())

    tablet.presses("Move it to this device")

    tablet.is_in("connected")
    bob.reads("The call goes on at another of your devices.")
    for one in (alice, tablet):
        one.sees_moving(".tile.face video")


def test_who_stays_away_from_a_ringing_group_finds_the_call_in_its_room(
    callers: Callable[..., list[Caller]], shots: Path
) -> None:
    alice, bob = callers("alice", "bob")
    alice.button("New group").click()
    dialog = alice.page.get_by_role("dialog", name="New group")
    dialog.get_by_label("Name of the group").fill("Garden")
    dialog.get_by_label("Find people").fill(bob.person.name)
    dialog.get_by_role("button", name=f"Add {bob.person.name.title()}").click()
    dialog.get_by_role("button", name="Make the group").click()
    alice.presses("Call Garden")
    bob.presses("Decline")

    alice.reads("Nobody took the call.")
    alice.presses("Call again")
    expect(bob.ringing).to_contain_text("Garden")
    bob.types("Escape")
    bob.presses("Answer")

    alice.is_in("connected")
    bob.presses("Hang up")
    bob.person.opens("Garden")
    expect(bob.button("Join")).to_be_visible()
    expect(bob.page.locator(".call-mark")).to_be_visible()
    bob.person.keeps_a_picture(shots / "join.png")
    alice.presses("Hang up")
    expect(bob.button("Join")).to_be_hidden()


def test_devices_are_seen_and_heard_before_the_first_call(
    pair: tuple[Caller, Caller], shots: Path
) -> None:
    alice, bob = pair
    alice.page.evaluate("localStorage.setItem('hubbub.calls', '{}')")
    alice.page.reload()
    alice.person.opens(bob.person.name.title())

    alice.presses(f"Video call {bob.person.name.title()}")

    alice.sees_moving(".preview video")
    level = alice.page.get_by_role("meter", name="Level of the microphone")
    expect(level).not_to_have_attribute("aria-valuenow", "0")
    alice.page.get_by_role("combobox", name="Camera").select_option(index=1)
    alice.sees_moving(".preview video")
    alice.presses("Play a test sound")
    alice.person.keeps_a_picture(shots / "devices.png")
    alice.presses("Start the video call")
    expect(bob.ringing).to_be_visible()
    kept = alice.page.evaluate("JSON.parse(localStorage.getItem('hubbub.calls'))")
    assert kept["camera"]
    assert not kept["checkFirst"]


def test_a_page_that_was_not_loaded_by_https_says_why_it_cannot_call(
    person: MakePerson, house: Running, callers: Callable[..., list[Caller]]
) -> None:
    (bob,) = callers("bob")
    alice = Caller(person(house.base_url.replace("127.0.0.1", "chat.lan"), "lan"))
    alice.person.signs_up()
    alice.person.starts_a_chat_with(bob.person.name)

    alice.presses(f"Call {bob.person.name.title()}")

    expect(alice.page.get_by_role("dialog", name="No call")).to_contain_text("https")
    # Chromium's own remark on pages like this one.
    alice.person.errors[:] = [one for one in alice.person.errors if "Opener-Policy" not in one]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_calls(
    callers: Callable[..., list[Caller]], scheme: str
) -> None:
    alice, bob = callers("alice", "bob", color_scheme=scheme, bypass_csp=True)
    alice.person.starts_a_chat_with(bob.person.name)
    alice.presses(f"Video call {bob.person.name.title()}")
    expect(bob.ringing).to_be_visible()
    found = violations(bob.page)
    bob.presses("Answer with video")
    alice.is_in("connected")
    found += violations(alice.page)
    alice.presses("Devices")
    found += violations(alice.page)
    alice.types("Escape")
    alice.will_press("How was the connection?")
    bob.presses("Hang up")
    expect(alice.page.get_by_role("dialog", name=re.compile("connection|bad"))).to_be_visible()
    found += violations(alice.page)

    assert found == []


def violations(page: Page) -> list[str]:
    page.add_script_tag(path=AXE)
    results = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
