"""A real Chromium, and people in it who use the page as a person does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browsing import CALL_FLAGS, FLAGS, Person
from tests.support.process import ROOT, Running, start_server

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
PAGE = ROOT / "clients" / "web" / "dist" / "index.html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH (or in CHROMIUM)")
    if not PAGE.exists():
        pytest.skip("the web page is not built: make web")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *CALL_FLAGS])
        yield opened
        opened.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with start_server(tmp_path / "data", env={"HUBBUB_SERVER__DIRECTORY": "true"}) as running:
        yield running


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: SHOTS, or the test's own folder."""
    folder = Path(os.environ.get("SHOTS", str(tmp_path / "shots")))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def person(browser: Browser) -> Iterator[Callable[..., Person]]:
    """Makes a person with a profile of his own. At the end no page may have met an error."""
    people: list[Person] = []

    def make(base_url: str, name: str, **options: object) -> Person:
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 720}, **options})
        people.append(Person(name, base_url, context))
        return people[-1]

    yield make
    met = [error for one in people for error in one.errors]
    for one in people:
        one.context.close()
    assert met == []
