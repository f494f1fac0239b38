"""coturn's own clients, with what a real `call:start` gave, against `hubbub serve`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.calls_browser.conftest import PORT, Town
from tests.calls_browser.meeting import meet
from tests.support.servers import coturn
from tests.support.servers.base import Missing, missing

pytestmark = [pytest.mark.slow, pytest.mark.browser]
TRANSPORTS = {"udp": (PORT, []), "tcp": (PORT + 1, ["-t"]), "tls": (PORT + 1, ["-t", "-S"])}
CASES = [
    ("udp", "ipv4", "channels"), ("udp", "ipv4", "send"), ("udp", "ipv6", "channels"),
    ("tcp", "ipv4", "channels"), ("tcp", "ipv6", "send"), ("tls", "ipv4", "send"),
    ("tls", "ipv6", "channels"),
]  # fmt: skip
MESSAGES = 5
Ticket = tuple[str, str]


@pytest.fixture(scope="module")
def ticket(town: Town, left_chromium: Page, right_chromium: Page) -> Iterator[Ticket]:
    """Also a sign that the media port is open: `call:start` waits for that."""
    try:
        coturn.program("turnutils_uclient")
    except Missing:
        missing("coturn", coturn.ADVICE)
    pair = meet(town, left_chromium, right_chromium)
    started = pair.anna.gets("call:start", room_id=pair.room_id, media="audio")
    turn: Any = next(one for one in started["ice_servers"] if "username" in one)
    yield turn["username"], turn["credential"]
    pair.part()


@pytest.fixture(scope="module")
def reports(town: Town, ticket: Ticket) -> dict[tuple[str, str, str], str]:
    """What each client printed. They run beside each other: each takes seconds."""
    with ThreadPoolExecutor(4) as pool:
        runs = {case: pool.submit(uclient, town, ticket, *case) for case in CASES}
        return {case: run.result() for case, run in runs.items()}


def uclient(town: Town, ticket: Ticket, transport: str, family: str, way: str) -> str:
    """Two clients, each by its own relay: the server's relays are peers that it always allows."""
    router = town.street.router
    port, options = TRANSPORTS[transport]
    host, relay = (router.address6, ["-x"]) if family == "ipv6" else (router.address, [])
    arguments = [
        "turnutils_uclient", *options, *relay, *(["-s"] if way == "send" else []), "-y",
        "-u", ticket[0], "-w", ticket[1], "-e", host, "-n", str(MESSAGES), "-m", "2", "-z", "5",
        "-p", str(port), host,
    ]  # fmt: skip
    return town.street.left.does(lambda: coturn.run(*arguments))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_turnutils_uclient_gets_every_message_back(
    reports: dict[tuple[str, str, str], str], case: tuple[str, str, str]
) -> None:
    report = reports[case]

    total = re.search(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", report)

    assert total is not None, report
    assert int(total[1]) >= MESSAGES, report
    assert total[1] == total[2], report


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_turnutils_stunclient_learns_its_address(town: Town, family: str) -> None:
    left, router = town.street.left, town.street.router
    host, own = {
        "ipv4": (router.address, left.address), "ipv6": (router.address6, left.address6)
    }[family]  # fmt: skip

    report = left.does(lambda: coturn.run("turnutils_stunclient", "-p", str(PORT), host))

    assert f"reflexive addr: {own}:" in report
