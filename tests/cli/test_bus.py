"""`hubbub bus`: what waits, what was given up, and delivering it again, beside a running server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from server.kernel.clock import System
from storage.api import Bus
from storage.redis.bus import RedisBus
from storage.sqlite import open_sqlite
from tests.cli.test_commands import hubbub, refusal
from tests.support.buses import facts, redis_settings
from tests.support.process import start_server

pytestmark = pytest.mark.slow


async def bury_two_of_three(bus: Bus) -> None:
    await bus.join("webhook")
    await bus.publish(facts(1, 2, 3))
    taken = await bus.take("webhook", "w", limit=2, wait_s=0, lease_s=60)
    await bus.bury("webhook", taken, "status 410")


@pytest.fixture
def data(tmp_path: Path) -> str:
    async def fill() -> None:
        store = await open_sqlite(tmp_path / "data", clock=System())
        await bury_two_of_three(store.bus)
        await store.close()

    asyncio.run(fill())
    return str(tmp_path / "data")


def test_beside_a_running_server_dead_letters_are_looked_at_replayed_and_dropped(
    data: str,
) -> None:
    with start_server(Path(data)):
        before = hubbub("bus", "status", "--data", data)
        shown = hubbub("bus", "dead", "--data", data, "--json")
        first, second = (json.loads(line)["id"] for line in shown.stdout.splitlines())
        replayed = hubbub("bus", "replay", first, "--data", data)
        dropped = hubbub("bus", "drop", second, "--data", data)
        after = hubbub("bus", "status", "--data", data)

    assert before.stdout.split() == ["group", "waiting", "dead", "webhook", "1", "2"]
    assert replayed.stdout == "1 go to their groups again.\n"
    assert dropped.stdout == "1 dead letters are gone.\n"
    assert after.stdout.split() == ["group", "waiting", "dead", "webhook", "2", "0"]


def test_a_dead_letter_is_shown_with_its_reason_and_ids(data: str) -> None:
    shown = hubbub("bus", "dead", "--limit", "1", "--data", data)

    line, more = shown.stdout.splitlines()
    assert "webhook  message.stored  1 attempts  status 410  room_id=garden seq=1" in line
    assert more == "... and more: ask for them with --limit."


def test_all_of_a_group_are_replayed_at_once(data: str) -> None:
    other = hubbub("bus", "replay", "--all", "--group", "search", "--data", data)
    done = hubbub("bus", "replay", "--all", "--group", "webhook", "--data", data)

    assert (other.stdout[:2], done.stdout) == ("0 ", "2 go to their groups again.\n")


def test_all_or_some_must_be_said(data: str) -> None:
    assert "take --all" in refusal(hubbub("bus", "replay", "--data", data))
    assert "take --all" in refusal(hubbub("bus", "drop", "1", "--all", "--data", data))


def test_a_group_is_forgotten_only_while_no_server_could_publish_for_it(data: str) -> None:
    with start_server(Path(data)):
        text = refusal(hubbub("bus", "leave", "webhook", "--data", data))
    done = hubbub("bus", "leave", "webhook", "--data", data)

    assert "is in use by another hubbub" in text
    assert done.stdout == "webhook is no group any more; 1 facts that waited for it are gone.\n"
    assert "There is no group 'webhook'" in refusal(
        hubbub("bus", "leave", "webhook", "--data", data)
    )


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    text = refusal(hubbub("bus", "status", "--data", str(tmp_path / "nowhere")))

    assert "There is no data folder" in text
    assert not (tmp_path / "nowhere").exists()


def test_in_a_cluster_it_asks_redis() -> None:
    settings = redis_settings()
    environ = {
        "HUBBUB_STORE__LOG": "postgres",
        **{
            f"HUBBUB_REDIS__{name.upper()}": str(getattr(settings, name))
            for name in ("host", "port", "password", "prefix")
        },
    }

    async def fill() -> None:
        bus = RedisBus(settings, System(), settle_s=0)
        await bury_two_of_three(bus)
        await bus.close()

    asyncio.run(fill())
    replayed = hubbub("bus", "replay", "--all", **environ)
    shown = hubbub("bus", "status", **environ)

    assert replayed.stdout == "2 go to their groups again.\n"
    assert shown.stdout.split()[3:] == ["webhook", "3", "0"]


def test_a_redis_that_does_not_answer_is_explained() -> None:
    environ = {"HUBBUB_STORE__LOG": "postgres", "HUBBUB_REDIS__PORT": "1"}

    assert "redis does not answer" in refusal(hubbub("bus", "status", **environ))
