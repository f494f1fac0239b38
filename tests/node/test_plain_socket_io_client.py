"""The socket.io-client of npm, unmodified, in Node: every transport, acknowledgements, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ROOT, Running, start_server

pytestmark = [pytest.mark.node, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("plain_client.mjs")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if shutil.which("node") is None:
        pytest.skip("no node on PATH")
    if not (ROOT / "clients" / "node_modules" / "socket.io-client").exists():
        pytest.skip("socket.io-client is not installed: make web")
    with start_server(tmp_path_factory.mktemp("node") / "data") as running:
        yield running


def call(server: Running, path: str, body: object, token: str = "") -> Any:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        server.base_url + path, json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def run_client(server: Running, token: str, room_id: str, mode: str) -> Any:
    done = subprocess.run(
        ["node", str(SCRIPT), server.base_url, token, room_id, mode],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("mode", "transports"),
    [
        ("polling-first", ("polling", "websocket")),
        ("websocket", ("websocket", "websocket")),
        ("polling", ("polling", "polling")),
    ],
)
def test_a_plain_client_sends_once_and_hears_itself(
    server: Running, mode: str, transports: tuple[str, str]
) -> None:
    account = {"username": f"node-{mode}", "password": "correct horse battery"}
    token = call(server, "/api/v1/accounts", account)["access_token"]
    room = call(server, "/api/v1/rooms", {"kind": "group", "name": "Node"}, token)

    result = run_client(server, token, room["id"], mode)

    assert (result.get("began"), result.get("ended")) == transports, result
    assert result["ack"]["ok"] is True
    assert result["again"] == result["ack"]
    assert result["event"]["seq"] == result["ack"]["data"]["seq"]
    assert result["event"]["content"]["body"] == "from node ✓"
    assert result["order"] == ["ack", "event"]
    assert result["unknown"]["error"]["code"] == "not_found"
    assert result["shapeless"]["error"]["code"] == "invalid"
    assert result["rooms"] == 1


def test_a_bad_token_is_refused_at_connect(server: Running) -> None:
    result = run_client(server, "not-a-token", "r", "websocket")

    assert result == {"error": "unauthorized", "data": {"code": "unauthorized"}}
