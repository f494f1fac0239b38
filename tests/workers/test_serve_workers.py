"""`hubbub serve --workers`, whole: people talk over four processes, and while they are replaced."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ROOT, Running, start_server
from tests.support.real_workers import PASSWORD, cluster_environment, people, room_of, says
from tests.support.waiting import until
from tests.support.worker_processes import children

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tests" / "node" / "plain_client.mjs"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return cluster_environment(XDG_RUNTIME_DIR=str(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def four(environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_server(
        tmp_path_factory.mktemp("four") / "data", "--workers", "4", env=environment
    ) as running:
        yield running


def call(url: str, path: str, body: object = None, token: str = "") -> Any:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(
        urllib.request.Request(url + path, data, headers), timeout=10
    ) as answer:
        return json.load(answer)


async def test_people_at_four_workers_hear_one_another_once_and_in_order(four: Running) -> None:
    async with people(four.base_url, 12, "talk") as all_of_them:
        said = await asyncio.gather(
            *(room_of(one).send(f"{n}-{k}") for n, one in enumerate(all_of_them) for k in range(5))
        )
        await until(lambda: all(len(one.heard) >= 60 for one in all_of_them), 20)

        seqs = sorted(sent.seq for sent in said)
        assert seqs == list(range(seqs[0], seqs[0] + 60))
        assert all(one.heard == all_of_them[0].heard for one in all_of_them)
        assert set(Counter(all_of_them[0].heard).values()) == {1}


async def test_callers_at_all_workers_are_told_of_the_one_media_port(four: Running) -> None:
    async with people(four.base_url, 8, "calls") as all_of_them:
        told = []
        for one in all_of_them:
            call = await one.client.calls.start((await one.client.create_room(name="call")).id)
            told.append({url for server in call.ice_servers for url in server.urls})

    assert {len(urls) for urls in told} == {3}
    assert len({frozenset(urls) for urls in told}) == 1


@pytest.mark.node
@pytest.mark.parametrize("mode", ["polling-first", "polling", "websocket"])
def test_the_javascript_client_talks_to_four_workers(four: Running, mode: str) -> None:
    if (
        shutil.which("node") is None
        or not (ROOT / "clients/node_modules/socket.io-client").exists()
    ):
        pytest.skip("no node, or socket.io-client is not installed: make web")
    account = {"username": f"node-{mode}", "password": PASSWORD}
    token = call(four.base_url, "/api/v1/accounts", account)["access_token"]
    room = call(four.base_url, "/api/v1/rooms", {"kind": "group", "name": "Node"}, token)
    line = ["node", str(SCRIPT), four.base_url, token, room["id"], mode]

    running = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    results = [json.loads(one.communicate(timeout=40)[0]) for one in running]

    assert all(result.get("ack", {}).get("ok") for result in results), results
    assert all(result["again"] == result["ack"] for result in results)
    assert {result["ended"] for result in results} == {mode.replace("polling-first", "websocket")}


async def test_a_worker_that_is_killed_costs_nobody_an_event(four: Running) -> None:
    async with people(four.base_url, 8, "kill") as all_of_them:
        sending = [
            asyncio.create_task(says(one, f"{n}", asyncio.Event(), 15))
            for n, one in enumerate(all_of_them)
        ]
        await asyncio.sleep(0.3)
        os.kill(children(four.process.pid)[0], signal.SIGKILL)
        said = [text for texts in await asyncio.gather(*sending) for text in texts]
        await until(lambda: all(len(one.heard) >= len(said) for one in all_of_them), 30)

        assert all(Counter(one.heard) == Counter(said) for one in all_of_them)
        await until(lambda: len(children(four.process.pid)) == 4)


async def test_servers_are_replaced_one_after_the_other_and_no_send_fails(
    environment, tmp_path: Path
) -> None:
    """Old and new share the port for a moment; clients are told to come back and find the new."""
    server = await asyncio.to_thread(
        start_server, tmp_path / "v1", "--workers", "2", env=environment
    )
    codes: list[int] = []
    try:
        async with people(server.base_url, 6, "upgrade") as all_of_them:
            ended = asyncio.Event()
            sending = [
                asyncio.create_task(says(one, f"{n}", ended)) for n, one in enumerate(all_of_them)
            ]
            for version in ("v2", "v3"):
                new = await asyncio.to_thread(
                    start_server, tmp_path / version, "--workers", "2", port=server.port,
                    env=environment,
                )  # fmt: skip
                old, server = server, new
                codes.append(await asyncio.to_thread(old.stop))
                await asyncio.sleep(1)
            ended.set()
            said = [text for texts in await asyncio.gather(*sending) for text in texts]
            await until(lambda: all(len(one.heard) >= len(said) for one in all_of_them), 30)
            log = [
                event.body
                for event in await room_of(all_of_them[0]).whole_log()
                if event.type == "message"
            ]

        assert codes == [0, 0]
        assert len(said) > 50
        assert Counter(log) == Counter(said)
        assert all(Counter(one.heard) == Counter(said) for one in all_of_them)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("role", "served", "refused"),
    [
        ("hub", "/socket.io/?EIO=4&transport=polling", "/api/v1/server"),
        ("api", "/api/v1/server", "/socket.io/?EIO=4&transport=polling"),
        ("worker", "/healthz", "/api/v1/server"),
    ],
)
def test_a_role_serves_its_part_and_says_so_elsewhere(
    environment, tmp_path: Path, role: str, served: str, refused: str
) -> None:
    with start_server(tmp_path / "data", "--role", role, env=environment) as server:
        with urllib.request.urlopen(server.base_url + served, timeout=5) as answer:
            status = answer.status
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(server.base_url + refused, timeout=5)
        problem = json.load(told.value)

    assert status == 200
    assert (told.value.code, problem["code"]) == (404, "not_found")
    assert f"role {role}" in problem["detail"]
