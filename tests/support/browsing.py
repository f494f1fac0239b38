"""What a person does in the page: by labels and roles, as one who cannot see it would find them."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
CALL_FLAGS = [
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection", "--host-resolver-rules=MAP chat.lan 127.0.0.1",
]  # fmt: skip
"""A camera that draws, a microphone that beeps, a screen that is given when asked for; and a name
that is no secure context, as a machine in a local network is."""
PASSWORD = "correct horse battery"
PATIENCE_MS = 20_000
"""The machine may be busy; what is waited for takes milliseconds on an idle one."""

NETWORK_TROUBLE = re.compile(r"Failed to load resource|WebSocket connection to|ERR_")
"""What Chromium itself writes when a server is away or refuses: no fault of the page."""

expect.set_options(timeout=PATIENCE_MS)


class Person:
    """One person and one tab."""

    def __init__(self, name: str, base_url: str, context: BrowserContext) -> None:
        self.name = name
        self.base_url = base_url
        self.context = context
        self.errors: list[str] = []
        self.page = self.new_tab()

    def new_tab(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(f"{self.name}: {error}"))
        page.on("console", self._listen)
        return page

    def signs_up(self) -> None:
        self.page.goto(self.base_url)
        self.page.get_by_role("button", name="New here? Sign up").click()
        self.page.get_by_label("User name").fill(self.name)
        self.page.get_by_label("Display name (optional)").fill(self.name.title())
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign up").click()
        self.is_in()

    def logs_in(self) -> None:
        self.page.goto(self.base_url)
        self.page.get_by_label("User name").fill(self.name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()

    def is_in(self) -> None:
        expect(self.page.get_by_role("navigation", name="Rooms")).to_be_visible()

    def starts_a_chat_with(self, name: str) -> None:
        self.page.get_by_role("button", name="New chat").first.click()
        dialog = self.page.get_by_role("dialog", name="New chat")
        dialog.get_by_label("Find people").fill(name)
        dialog.get_by_role("button", name=f"Chat {name.title()}").click()
        expect(dialog).to_be_hidden()

    def opens(self, room: str) -> None:
        self.page.get_by_role("navigation", name="Rooms").get_by_role("button", name=room).click()

    def says(self, *texts: str) -> None:
        box = self.page.get_by_label("Message", exact=True)
        for text in texts:
            box.fill(text)
            box.press("Enter")

    def message(self, text: str) -> Locator:
        body = self.page.locator(".body", has_text=re.compile(f"^{re.escape(text)}$"))
        return self.page.locator("li.message").filter(has=body)

    def sees_exactly(self, *texts: str) -> None:
        """These are the messages of the open room: in this order, each once."""
        expect(self.page.locator("li.message .body")).to_have_text(list(texts))

    def sees_progress(self, text: str, progress: str) -> None:
        expect(self.message(text)).to_have_attribute("data-progress", progress)

    def keeps_a_picture(self, path: Path) -> None:
        self.page.screenshot(path=path)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not NETWORK_TROUBLE.search(message.text):
            self.errors.append(f"{self.name}: {message.text}")
