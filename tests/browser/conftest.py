"""A real Chromium, and people in it who use the page as a person does."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browsing import CALL_FLAGS, FLAGS, Person
from tests.support.callers import PLAIN, Caller, MakePerson
from tests.support.process import ROOT, Running, start_server

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
PAGE = ROOT / "clients" / "web" / "dist" / "index.html"
NUMBERS = itertools.count(1)


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


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all: a call leaves nothing behind but a line in its room."""
    settings = {"HUBBUB_SERVER__DIRECTORY": "true"}
    folder = tmp_path_factory.mktemp("calls") / "data"
    with start_server(folder, "--limits", "off", env=settings) as running:
        yield running


@pytest.fixture
def callers(house: Running, person: MakePerson) -> Callable[..., list[Caller]]:
    """People who are logged in. Each test has its own: a name is taken once."""

    def make(*names: str, **options: object) -> list[Caller]:
        made = []
        number = next(NUMBERS)
        for name in names:
            one = person(house.base_url, f"{name}{number}", **options)
            one.context.add_init_script(PLAIN)
            one.signs_up()
            made.append(Caller(one))
        return made

    return make


@pytest.fixture
def pair(callers: Callable[..., list[Caller]]) -> tuple[Caller, Caller]:
    alice, bob = callers("alice", "bob")
    alice.person.starts_a_chat_with(bob.person.name)
    bob.person.opens(alice.person.name.title())
    return alice, bob
