"""coturn's own clients, on every transport and family, take our server for one of theirs."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator

import pytest

from tests.support import real_turn
from tests.support.real_turn import PASSWORD, SECRET, USER, RealTurn
from tests.support.servers import coturn
from tests.support.servers.base import Missing, missing, server_folder
from tests.support.servers.redis import Certificates

pytestmark = pytest.mark.slow

TRANSPORTS = {"udp": [], "tcp": ["-t"], "tls": ["-t", "-S"]}
FAMILIES = {"ipv4": "127.0.0.1", "ipv6": "::1"}
WAYS = {"channels": [], "send": ["-s"]}
CASES: dict[str, tuple[str, str, list[str]]] = {
    f"{transport}-{family}-{way}": (transport, family, options)
    for transport in TRANSPORTS
    for family in FAMILIES
    for way, options in WAYS.items()
} | {
    "udp-ipv4-dont_fragment": ("udp", "ipv4", ["-g", "-s"]),
    "udp-ipv4-extra_requests": ("udp", "ipv4", ["-G"]),
    "tcp-ipv4-long_messages": ("tcp", "ipv4", ["-l", "1101"]),
    "udp-ipv4-one_relay_to_the_other": ("udp", "ipv4", ["-y"]),
}  # fmt: skip
MESSAGES = 5
AT_ONCE = 4


@pytest.fixture(scope="module")
def reports() -> Iterator[dict[str, str]]:
    """What every case's client printed. They run beside each other: each takes seconds."""
    try:
        coturn.program("turnutils_uclient")
    except Missing:
        missing("coturn", coturn.ADVICE)
    with server_folder("turn") as folder:
        made = Certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        yield asyncio.run(run_all(context))


async def run_all(context: ssl.SSLContext) -> dict[str, str]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(turn: RealTurn, name: str, arguments: list[str]) -> tuple[str, str]:
        async with gate:
            return name, await asyncio.to_thread(coturn.run, *arguments)

    async with real_turn.serving(context=context) as turn:
        runs = [one(turn, name, uclient(turn, *case)) for name, case in CASES.items()]
        runs += [one(turn, f"rest-{family}", rest(turn, host)) for family, host in FAMILIES.items()]
        runs += [
            one(turn, f"stun-{family}", ["turnutils_stunclient", "-p", str(turn.udp[host]), host])
            for family, host in FAMILIES.items()
        ]
        return dict(await asyncio.gather(*runs))


def uclient(turn: RealTurn, transport: str, family: str, options: list[str]) -> list[str]:
    host = FAMILIES[family]
    port = getattr(turn, transport)[host]
    relay = ["-x"] if family == "ipv6" else []
    return [
        "turnutils_uclient", *TRANSPORTS[transport], *relay, *options, "-u", USER, "-w", PASSWORD,
        "-e", host, "-r", str(turn.echo[host]), "-n", str(MESSAGES), "-m", "2", "-z", "5",
        "-p", str(port), host,
    ]  # fmt: skip


def rest(turn: RealTurn, host: str) -> list[str]:
    """With a name and password made of the shared secret."""
    relay = ["-x"] if ":" in host else []
    return [
        "turnutils_uclient", *relay, "-u", "anna", "-W", SECRET, "-e", host,
        "-r", str(turn.echo[host]), "-n", str(MESSAGES), "-m", "1", "-p", str(turn.udp[host]), host,
    ]  # fmt: skip


@pytest.mark.parametrize("case", [*CASES, "rest-ipv4", "rest-ipv6"])
def test_turnutils_uclient_gets_every_message_back(reports: dict[str, str], case: str) -> None:
    report = reports[case]

    total = re.search(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", report)

    assert total is not None, report
    assert int(total[1]) >= MESSAGES, report
    assert total[1] == total[2], report


@pytest.mark.parametrize("family", FAMILIES)
def test_turnutils_stunclient_learns_its_address(reports: dict[str, str], family: str) -> None:
    assert f"reflexive addr: {FAMILIES[family]}:" in reports[f"stun-{family}"]
