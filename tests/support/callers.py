"""People who call each other in the page."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.support.browsing import Person

MakePerson = Callable[..., Person]

PLAIN = "localStorage['hubbub.calls'] ??= JSON.stringify({checkFirst: false})"
"""As somebody who has called before: the devices are not looked at first."""
MOVING = """
async selector => {
  const video = document.querySelector(selector);
  if (!video || !video.videoWidth) return false;
  const frames = () => video.getVideoPlaybackQuality().totalVideoFrames;
  const before = frames();
  await new Promise(done => setTimeout(done, 300));
  return frames() > before;
}
"""

PRESS = """
name => {
  const timer = setInterval(() => {
    const all = [...document.querySelectorAll("[data-phase] button")];
    const button = all.find(one => one.textContent.trim() === name);
    if (button) clearInterval(timer);
    button?.click();
  }, 50);
}
"""
PUT_AWAY = """
() => {
  const call = document.querySelector("[data-phase]");
  if (call?.dataset.phase === "ended")
    [...call.querySelectorAll("button")].find(one => one.textContent.trim() === "Close")?.click();
  return call === null;
}
"""


class Caller:
    """Somebody at a page, and what he does about calls."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.page: Page = person.page

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("button", name=name, exact=isinstance(name, str)).first

    def presses(self, name: str) -> None:
        self.button(name).click()

    def will_press(self, name: str) -> None:
        """As soon as it is there: what is shown for some seconds only. On a busy machine the steps
        of a click take longer than that: here the page itself presses what it shows.
        """
        self.page.evaluate(PRESS, name)

    def puts_away(self) -> None:
        """The call is over, and closed; on the side of who ended it, it may have gone by itself."""
        self.page.wait_for_function(PUT_AWAY)

    def types(self, key: str) -> None:
        self.page.keyboard.press(key)

    @property
    def call(self) -> Locator:
        return self.page.locator("[data-phase]")

    @property
    def ringing(self) -> Locator:
        return self.page.get_by_role("dialog", name=re.compile(" calls$"))

    def is_in(self, phase: str) -> None:
        expect(self.call).to_have_attribute("data-phase", phase)

    def sees_moving(self, selector: str) -> None:
        expect(self.page.locator(selector)).to_be_visible()
        self.page.wait_for_function(MOVING, arg=selector)

    def reads(self, words: str) -> None:
        expect(self.call.get_by_text(words)).to_be_visible()


def connect(alice: Caller, bob: Caller) -> None:
    """A video call, answered with the camera."""
    alice.presses(f"Video call {bob.person.name.title()}")
    bob.presses("Answer with video")
    alice.is_in("connected")
    bob.is_in("connected")
