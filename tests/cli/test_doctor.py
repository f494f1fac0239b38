"""`hubbub doctor`: what it says of a machine, of broken ones too, and that its calls are real."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from server.cli.doctor import calls, certificate, relays
from server.cli.doctor.findings import Finding
from server.kernel.config import Config, Media, Server
from tests.support.certificates import issued
from tests.support.namespaces import Machine
from tests.support.process import ROOT, start_server
from tests.support.servers.base import free_port, missing

HERE = "192.168.77.2"
"""Of a machine within this one; no router leads there."""
NOWHERE = "198.51.100.7"


def settings(tmp_path: Path, host: str = "127.0.0.1", **media: object) -> Config:
    media = {"port": free_port(), "tcp_port": free_port(), **media}
    place = Server(host=host, port=free_port(), data=str(tmp_path / "data"))
    return Config(server=place, media=Media(**media))


def examined(config: Config, *, runs: bool = False) -> dict[str, Finding]:
    async def all_of_it() -> dict[str, Finding]:
        async with asyncio.timeout(20):
            return {one.name: one async for one in calls.placed(config, runs=runs)}

    return asyncio.run(all_of_it())


def marks(found: dict[str, Finding]) -> dict[str, str]:
    """By transport: the addresses differ."""
    return {name.rsplit(" ", 1)[0]: one.mark for name, one in found.items() if "call" in name}


@contextlib.contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        yield other.getsockname()[1]


# ---- calls that work -----------------------------------------------------------------------------


@pytest.mark.slow
def test_it_calls_itself_by_every_way_that_is_offered(tmp_path: Path, monkeypatch) -> None:
    certificate_path, key = issued(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", certificate_path)
    tls = {"tls_certificate": certificate_path, "tls_key": key}

    found = examined(settings(tmp_path, **tls))

    assert marks(found) == {
        "call over UDP": "ok", "call over TCP": "ok", "call over TURN/UDP": "ok",
        "call over TURN/TCP": "ok", "call over TURN/TLS": "ok",
    }  # fmt: skip
    assert all("0 of 50 packets lost" in one.seen for one in found.values() if "call" in one.name)


@pytest.mark.slow
def test_a_whole_examination_finds_nothing_and_ends_well(tmp_path: Path) -> None:
    done = doctor(tmp_path / "data", "--port", str(free_port()))

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("0 of 50 packets lost") == 4
    assert "ok     ringing: start, ring, accept" in done.stdout
    assert "Nothing is wrong." in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_beside_a_running_server_it_asks_that_ones_relay_and_calls_another(tmp_path: Path) -> None:
    port = str(free_port())
    with start_server(tmp_path / "data", port=int(port)) as server:
        done = doctor(tmp_path / "data", "--port", port)
        assert server.process.poll() is None

    assert done.returncode == 0, done.stdout
    assert f"Hubbub runs on 127.0.0.1:{port}" in done.stdout
    assert f"ok     allocation at TURN/UDP 127.0.0.1:{port}" in done.stdout
    assert done.stdout.count("0 of 50 packets lost") == 4


@pytest.mark.slow
def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    absent = "('aiortc', 'OpenSSL', 'pylibsrtp', 'ifaddr', 'av', 'aioice')"
    code = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
    code += "; from server.main import main; main()"

    done = run(
        sys.executable, "-c", code, "doctor", "--data", str(tmp_path / "data"), "--port", "0"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "pip install 'hubbub[calls]'" in " ".join(done.stdout.split())
    assert "Nothing is wrong. 1 warning." in done.stdout


# ---- what is wrong with the configuration --------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_a_port_that_another_program_has_is_wrong(tmp_path: Path, kind: socket.SocketKind) -> None:
    with taken(kind) as port:
        which = {"port": port} if kind == socket.SOCK_DGRAM else {"tcp_port": port}
        found = examined(settings(tmp_path, **which))

    assert found["media port"].mark == "WRONG"
    assert f"127.0.0.1:{port} is in use by another program" in found["media port"].seen


@pytest.mark.slow
def test_a_port_that_was_only_wished_is_a_warning_and_calls_go_on(tmp_path: Path) -> None:
    with taken(socket.SOCK_DGRAM) as port:
        config = settings(tmp_path, port=-1, tcp_port=-1)
        place = msgspec.structs.replace(config.server, port=port)
        found = examined(msgspec.structs.replace(config, server=place))

    assert found["media port"].mark == "warn"
    assert set(marks(found).values()) == {"ok"}


def test_a_host_of_another_machine_is_wrong_and_public_hosts_is_named(tmp_path: Path) -> None:
    found = examined(settings(tmp_path, hosts=(NOWHERE,)))

    assert found["media port"].mark == "WRONG"
    assert "media.public_hosts" in found["media port"].advice


@pytest.mark.slow
def test_a_stun_server_that_does_not_answer_is_wrong(tmp_path: Path) -> None:
    with taken(socket.SOCK_DGRAM) as silent:
        found = examined(settings(tmp_path, stun_server=f"127.0.0.1:{silent}"))

    assert found["public address"].mark == "WRONG"
    assert "does not answer" in found["public address"].seen


@pytest.mark.slow
def test_a_public_name_without_an_address_is_wrong_and_the_relay_is_tried_all_the_same(
    tmp_path: Path,
) -> None:
    found = examined(settings(tmp_path, public_name="calls.invalid"))

    assert found["relay calls.invalid"].mark == "WRONG"
    assert marks(found)["call over TURN/UDP calls.invalid at"] == "ok"
    assert marks(found)["call over TURN/TCP calls.invalid at"] == "ok"


@pytest.mark.slow
def test_a_turn_server_of_the_operators_with_another_secret_is_wrong(tmp_path: Path) -> None:
    port = free_port()
    with start_server(tmp_path / "other", port=port):
        media = {"ice_urls": (f"turn:127.0.0.1:{port}?transport=udp",), "ice_secret": "mistyped"}
        found = examined(settings(tmp_path, **media))

    foreign = found[f"allocation at TURN/UDP 127.0.0.1:{port}"]
    assert foreign.mark == "WRONG"
    assert "401" in foreign.seen
    assert "media.ice_secret" in foreign.advice


# ---- certificates --------------------------------------------------------------------------------


def look_at(tmp_path: Path, name: str, *names: str, days: float = 90.0) -> Finding:
    path, key = issued(tmp_path, *names, days=days)
    media = Media(tls_certificate=path, tls_key=key)
    return certificate.look_at(media, name, datetime.datetime.now(datetime.UTC))


@pytest.mark.parametrize(
    ("name", "days", "mark", "word"),
    [
        ("calls.example.org", 90, "ok", "for calls.example.org"),
        ("CALLS.example.org.", 90, "ok", ""),
        ("a.wild.example.org", 90, "ok", ""),
        ("192.0.2.1", 90, "warn", "Firefox"),
        ("calls.example.org", 13, "warn", "until"),
        ("calls.example.org", -1, "WRONG", "expired"),
        ("chat.example.org", 90, "WRONG", "not for chat.example.org"),
        ("a.b.wild.example.org", 90, "WRONG", "not for"),
        ("192.0.2.2", 90, "WRONG", "not for 192.0.2.2"),
    ],
)
def test_a_certificate_must_be_in_time_and_for_the_name(
    tmp_path: Path, name: str, days: float, mark: str, word: str
) -> None:
    names = ("calls.example.org", "*.wild.example.org", "192.0.2.1")

    found = look_at(tmp_path, name, *names, days=days)

    assert (found.mark, word in found.seen) == (mark, True), found


def test_a_certificate_without_its_key_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path, _ = issued(tmp_path, "127.0.0.1")
    _, other = issued(tmp_path / "other", "127.0.0.1")

    found = certificate.look_at(
        Media(tls_certificate=path, tls_key=other), "127.0.0.1", datetime.datetime.now(datetime.UTC)
    )

    assert found.mark == "WRONG"
    assert f"the key in {other} belongs to another certificate" in found.seen


@pytest.mark.slow
def test_a_certificate_that_browsers_do_not_know_fails_the_tls_leg_alone(tmp_path: Path) -> None:
    path, key = issued(tmp_path, "127.0.0.1")

    found = examined(settings(tmp_path, tls_certificate=path, tls_key=key))

    assert marks(found)["call over TURN/TLS"] == "WRONG"
    assert list(marks(found).values()).count("ok") == 4


@pytest.mark.slow
def test_a_certificate_that_cannot_be_read_is_named_as_the_reason(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("not a certificate")
    chain = str(tmp_path / "chain.pem")

    found = examined(settings(tmp_path, tls_certificate=chain, tls_key=chain))

    assert found["media process"].mark == "WRONG"
    assert chain in found["certificate"].seen


# ---- relay ports and buffers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "mark"),
    [
        (49_152, 65_535, "ok"),
        (20_000, 20_050, "warn"),
        (20_000, 20_200, "ok"),
        (40_000, 40_400, "warn"),
    ],
)
def test_few_relay_ports_or_ones_that_other_programs_take_are_a_warning(
    first: int, last: int, mark: str
) -> None:
    assert relays.ports(first, last, (32_768, 60_999)).mark == mark


def test_a_small_receive_buffer_is_a_warning_that_names_the_setting() -> None:
    found = relays.buffers(212_992)

    assert found.mark == "warn"
    assert "net.core.rmem_max" in found.advice


# ---- a firewall on the machine -------------------------------------------------------------------


@pytest.fixture
def machine() -> Iterator[Machine]:
    """With one address, and nobody else in its network."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "iptables"))):
        missing("a network namespace", "run as root, with iproute2 and iptables installed")
    made = Machine(f"doctor{os.getpid()}", HERE, "")
    ip("netns", "add", made.name)
    try:
        ip("-n", made.name, "link", "set", "lo", "up")
        ip("-n", made.name, "address", "add", f"{HERE}/32", "dev", "lo")
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], check=False)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "failing"),
    [
        (
            "-p udp --dport 8123 -j DROP",
            {"UDP": "STUN is not answered", "TURN/UDP": "no TURN allocation",
             "TURN/TCP": "the ICE check is not answered"},
        ),
        (
            "-p tcp --dport 8124 -j REJECT",
            {"TCP": "no connection (Connection refused)",
             "TURN/TCP": "no connection (Connection refused)"},
        ),
        (
            "-p udp --dport 61100:61999 -j DROP",
            {"TURN/UDP": "the ICE check is not answered",
             "TURN/TCP": "the ICE check is not answered"},
        ),
        (
            "-p udp -m length --length 500:2000 -j DROP",
            {"UDP": "the DTLS handshake fails", "TURN/UDP": "the DTLS handshake fails",
             "TURN/TCP": "the DTLS handshake fails"},
        ),
    ],
    ids=["udp", "tcp", "relay", "long"],
)  # fmt: skip
def test_a_firewall_is_told_by_the_leg_and_the_step_that_fail(
    machine: Machine, tmp_path: Path, rule: str, failing: dict[str, str]
) -> None:
    # Its own sockets have other ports than its relay, so that a rule means one of the two.
    range_ = {"relay_first_port": 61_100, "relay_last_port": 61_999}
    config = settings(tmp_path, HERE, port=8123, tcp_port=8124, **range_)
    subprocess.run(
        ["ip", "netns", "exec", machine.name, "iptables", "-A", "INPUT", *rule.split()], check=True
    )

    found = machine.does(lambda: examined(config))

    told = {name.split()[2]: one for name, one in found.items() if name.startswith("call over")}
    assert {way for way, one in told.items() if one.mark == "WRONG"} == failing.keys()
    assert {way: told[way].seen for way in failing} == failing
    assert all(told[way].advice for way in failing)


@pytest.mark.slow
def test_an_address_of_no_machine_here_is_a_warning(machine: Machine, tmp_path: Path) -> None:
    config = settings(tmp_path, HERE, public_hosts=(NOWHERE,))

    found = machine.does(lambda: examined(config))

    beyond = [
        one
        for name, one in found.items()
        if name.startswith("call") and f" {NOWHERE}:" in name and HERE not in name
    ]
    straight = [one for name, one in found.items() if name.startswith("call") and HERE in name]
    assert [one.mark for one in beyond] == ["warn"] * 4
    assert [one.mark for one in straight] == ["ok"] * 4
    assert len({one.advice for one in beyond}) == 1


# ---- a process of its own ------------------------------------------------------------------------


def doctor(data: Path, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
    line = (sys.executable, "-m", "server.main", "doctor", "--data", str(data), *more)
    return run(*line, **environ)


def run(*line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environ},
    )  # fmt: skip
