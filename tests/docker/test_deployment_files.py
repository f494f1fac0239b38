"""The files in docker/, looked at by the programs that read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.kernel.config import load_config
from tests.support.images import DOCKERFILE, ROOT, programs
from tests.support.servers.base import (
    CACHE,
    MAY_INSTALL,
    Missing,
    find_program,
    installing,
    missing,
)

pytestmark = pytest.mark.slow

DOCKER = ROOT / "docker"
COMPOSE = ("compose.yaml", "compose.embedded.yaml")
LOGS = ("postgres", "cassandra")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of docker/ with secrets and settings, as an operator has it."""
    copy = tmp_path / "docker"
    shutil.copytree(DOCKER, copy, ignore=shutil.ignore_patterns("secrets", ".env"))
    shutil.copy(copy / "env.example", copy / ".env")
    subprocess.run(["sh", str(copy / "make_secrets.sh")], check=True)
    return copy


def compose(folder: Path, name: str, *arguments: str, **env: str) -> str:
    try:
        programs("docker-compose")
    except Missing as why:
        missing("docker-compose", str(why))
    done = subprocess.run(
        ["docker-compose", "-f", str(folder / name), *arguments], cwd=folder,
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def services(folder: Path, name: str, **env: str) -> dict[str, dict[str, Any]]:
    made = compose(folder, name, "--profile", "cassandra", "config", **env)
    found: dict[str, dict[str, Any]] = yaml.safe_load(made)["services"]
    return found


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_is_accepted(folder: Path, name: str) -> None:
    compose(folder, name, "config", "-q")


@pytest.mark.parametrize("name", COMPOSE)
def test_every_service_has_a_version_a_limit_and_comes_back_by_itself(
    folder: Path, name: str
) -> None:
    for service, told in services(folder, name).items():
        assert re.search(r":[^:]*\d[^:]*\Z", told["image"]), service
        assert "latest" not in told["image"]
        assert told["mem_limit"], service
        assert told["restart"] == "unless-stopped", service
        assert "no-new-privileges:true" in told["security_opt"], service
        # A hub's check is in its image.
        assert "hubbub" in told["image"] or told["healthcheck"]["test"], service


@pytest.mark.parametrize("name", COMPOSE)
def test_only_the_door_and_the_ports_of_calls_are_open_and_hubs_have_no_rights(
    folder: Path, name: str
) -> None:
    for service, told in services(folder, name).items():
        if "hubbub" in told["image"]:
            assert told["read_only"] is True
            assert told["cap_drop"] == ["ALL"]
        for port in opened(told):
            assert service == "proxy" or port.startswith("127.0.0.1:") or is_of_calls(told, port)


def opened(told: dict[str, Any]) -> Iterator[str]:
    """The published ports as they are written in short, `[address:]outside:inside[/udp]`."""
    for port in told.get("ports", []):
        if isinstance(port, str):
            yield port
            continue
        address = f"{port['host_ip']}:" if "host_ip" in port else ""
        udp = "/udp" if port.get("protocol") == "udp" else ""
        yield f"{address}{port['published']}:{port['target']}{udp}"


def is_of_calls(told: dict[str, Any], port: str) -> bool:
    """The media ports of the service's own configuration, each with the same number outside."""
    environ = told.get("environment", {})
    config = load_config(environ={n: v for n, v in environ.items() if "MEDIA" in n})
    media, http = config.media, config.server.port
    udp = http if media.port < 0 else media.port
    tcp = http + 1 if media.tcp_port < 0 else media.tcp_port
    first, last = media.relay_first_port, media.relay_last_port
    relays = {f"{one}:{one}/udp" for one in (*range(first, last + 1), f"{first}-{last}")}
    return port in {f"{udp}:{udp}/udp", f"{tcp}:{tcp}"} | relays


def test_cassandra_comes_only_when_asked_for(folder: Path) -> None:
    told = services(folder, "compose.yaml")

    assert {name: s["profiles"] for name, s in told.items() if "profiles" in s} == {
        "cassandra": ["cassandra"]
    }
    assert {"hub-1", "hub-2", "media", "minio", "postgres", "proxy", "redis"} <= set(told)


@pytest.mark.parametrize("log", LOGS)
def test_what_the_hubs_are_told_is_a_configuration(folder: Path, log: str) -> None:
    told = services(folder, "compose.yaml", HUBBUB_LOG=log)
    mounted = {"/run/secrets": str(folder / "secrets")}
    for hub in ("hub-1", "hub-2", "media"):
        environ = {
            name: value.replace("/run/secrets", mounted["/run/secrets"])
            for name, value in told[hub]["environment"].items()
        }

        config = load_config(environ=environ)

        assert (config.store.log, config.store.files) == (log, "s3")
        passwords = (config.postgres.password, config.redis.password, config.s3.secret_key)
        assert all(len(password) == 48 for password in passwords)
        assert len(set(passwords)) == 3
        assert config.registration == "invite"
        assert config.postgres.host in told
        assert config.redis.host in told
        assert config.s3.endpoint.partition(":")[0] in told
        assert set(config.cassandra.hosts) <= set(told)


def test_secrets_are_made_once_and_for_root_alone(folder: Path) -> None:
    made = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}

    subprocess.run(["sh", str(folder / "make_secrets.sh")], check=True)

    assert set(made) == {"postgres_password", "redis_password", "s3_secret_key"}
    assert {path.name: path.read_text() for path in (folder / "secrets").iterdir()} == made
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    ignored = (ROOT / ".gitignore").read_text()
    assert "/docker/secrets/" in ignored
    assert "/docker/.env" in ignored


@pytest.fixture(scope="module")
def hadolint() -> str:
    folder = CACHE / "hadolint"
    if find_program("hadolint", folder / "bin") is None and MAY_INSTALL:
        with installing("hadolint"):
            lock = Path(__file__).with_name("hadolint.lock")
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
                 "--require-hashes", "--target", str(folder), "-r", str(lock)],
                check=True, timeout=300,
            )  # fmt: skip
    found = find_program("hadolint", folder / "bin")
    if found is None:
        missing("hadolint", "put it on PATH")
    assert found is not None
    return found


def test_the_dockerfile_has_nothing_to_complain_about(hadolint: str) -> None:
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_what_goes_to_the_builder_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    assert lines[1] == "*"
    assert {"!server", "!storage", "!clients", "!requirements-cluster.lock"} <= set(lines)
