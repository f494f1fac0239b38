"""Signing up, logging in and out, links, and what the page may load."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import expect

from tests.support.browsing import PASSWORD, Person
from tests.support.process import ROOT, Running, start_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MakePerson = Callable[..., Person]
AXE = ROOT / "clients" / "node_modules" / "axe-core" / "axe.min.js"


def test_signing_up_leads_to_an_empty_page_that_says_what_to_do(
    server: Running, person: MakePerson, shots: Path
) -> None:
    alice = person(server.base_url, "alice")

    alice.signs_up()

    expect(alice.page.get_by_role("heading", name="Nobody here yet")).to_be_visible()
    alice.keeps_a_picture(shots / "empty.png")


def test_a_taken_name_is_told_in_the_form(server: Running, person: MakePerson) -> None:
    first, second = person(server.base_url, "alice"), person(server.base_url, "alice")
    first.signs_up()

    second.page.goto(second.base_url)
    second.page.get_by_role("button", name="New here? Sign up").click()
    second.page.get_by_label("User name").fill("Alice")
    second.page.get_by_label("Password").fill(PASSWORD)
    second.page.get_by_role("button", name="Sign up").click()

    expect(second.page.get_by_role("alert")).not_to_be_empty()


def test_a_login_lasts_over_a_reload_and_ends_with_logging_out(
    server: Running, person: MakePerson
) -> None:
    alice = person(server.base_url, "alice")
    alice.signs_up()
    alice.page.reload()
    alice.is_in()

    alice.page.get_by_role("button", name="Settings").click()
    alice.page.get_by_role("button", name="Log out").click()
    expect(alice.page.get_by_role("button", name="Log in")).to_be_visible()
    alice.logs_in()

    alice.is_in()


def test_signing_out_another_session_ends_it_there_within_a_second(
    server: Running, person: MakePerson
) -> None:
    here, there = person(server.base_url, "alice"), person(server.base_url, "alice")
    here.signs_up()
    there.logs_in()
    there.is_in()

    here.page.get_by_role("button", name="Settings").click()
    here.page.get_by_role("button", name=re.compile("^Sign out")).click()

    expect(there.page.get_by_role("alert")).to_contain_text("signed out")


def test_a_second_factor_is_set_up_and_then_asked_for(server: Running, person: MakePerson) -> None:
    alice = person(server.base_url, "alice")
    alice.signs_up()
    alice.page.get_by_role("button", name="Settings").click()
    alice.page.get_by_label("Your password").fill(PASSWORD)
    alice.page.get_by_role("button", name="Set up").click()
    code = pyotp.TOTP(alice.page.locator(".codes").inner_text()).now()
    alice.page.get_by_label("Code", exact=True).fill(code)
    alice.page.get_by_role("button", name="Confirm").click()
    expect(alice.page.get_by_text("It is on.")).to_be_visible()
    recovery = alice.page.locator(".codes").inner_text().split()[0]

    other = person(server.base_url, "alice")
    other.logs_in()
    other.page.get_by_label("Code of your second factor").fill(recovery)
    other.page.get_by_role("button", name="Log in").click()

    other.is_in()


def test_two_links_in_two_tabs_of_one_browser_are_two_people(
    tmp_path: Path, person: MakePerson, shots: Path
) -> None:
    with start_server(tmp_path / "data", command="dev") as running:
        assert running.process.stdout is not None
        links: list[str] = []
        while len(links) < 2:
            links += re.findall(r"http\S+#login=\S+", running.process.stdout.readline())
        alice = person(running.base_url, "alice")
        second = alice.new_tab()
        alice.page.goto(links[0])
        second.goto(links[1])

        own = [tab.locator(".sidebar .who strong") for tab in (alice.page, second)]
        expect(own[0]).to_have_text("Alice")
        expect(own[1]).to_have_text("Bob")
        assert "login=" not in alice.page.url
        alice.keeps_a_picture(shots / "dev.png")


def test_the_page_loads_nothing_from_elsewhere(server: Running, person: MakePerson) -> None:
    alice = person(server.base_url, "alice")
    asked: list[str] = []
    alice.context.on("request", lambda request: asked.append(request.url))

    alice.signs_up()

    assert [url for url in asked if not url.startswith(server.base_url)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_the_page(
    server: Running, person: MakePerson, scheme: str, shots: Path
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make web")
    options = {"color_scheme": scheme, "bypass_csp": True}
    alice, bob = (person(server.base_url, name, **options) for name in ("alice", "bob"))
    alice.page.goto(alice.base_url)
    expect(alice.page.get_by_role("button", name="Log in")).to_be_visible()
    found = _violations(alice)
    alice.signs_up()
    bob.signs_up()
    alice.starts_a_chat_with("bob")
    alice.says("hello https://example.org")
    bob.opens("Alice")
    bob.says("hi")
    alice.sees_exactly("hello https://example.org", "hi")
    found += _violations(alice)
    alice.page.get_by_role("button", name="Settings").click()
    found += _violations(alice)
    alice.keeps_a_picture(shots / f"settings-{scheme}.png")

    assert found == []


def _violations(person: Person) -> list[str]:
    person.page.add_script_tag(path=AXE)
    results = person.page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
