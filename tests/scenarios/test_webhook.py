"""A whole server tells a hook what it stored, also after kill -9."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.support.process import start_server
from tests.support.waiting import until

CHANGES = 20


@pytest.mark.slow
async def test_a_hook_hears_of_everything_that_was_acknowledged_across_a_kill(
    tmp_path: Path,
) -> None:
    heard: dict[str, dict[str, str | int]] = {}
    names: set[str] = set()
    answer = [500]

    async def hook(request: web.Request) -> web.Response:
        for fact in (await request.json())["facts"]:
            if answer[0] == 200:
                heard[fact["id"]] = fact["data"]
                names.add(fact["name"])
        return web.Response(status=answer[0])

    app = web.Application()
    app.router.add_post("/", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    env = {
        "HUBBUB_BUS__WEBHOOK_URL": f"http://127.0.0.1:{runner.addresses[0][1]}/",
        "HUBBUB_BUS__WEBHOOK_SECRET": "a secret",
        "HUBBUB_LIMITS__HTTP_PER_S": "0",
    }

    with await asyncio.to_thread(start_server, tmp_path / "data", env=env) as server:
        stored = await alice_changes_her_room(server.base_url)
        server.kill()
    answer[0] = 200
    with await asyncio.to_thread(start_server, tmp_path / "data", env=env):
        await until(lambda: stored <= {data.get("seq") for data in heard.values()}, 30)
        log_text = (tmp_path / "data.log").read_text("utf-8")
    await runner.cleanup()

    assert {"user.created", "room.stored"} <= names
    assert "a secret" not in log_text


async def alice_changes_her_room(url: str) -> set[int | str | None]:
    """Returns the seqs of which she knows."""
    account = {"username": "alice", "password": "correct horse battery"}
    async with aiohttp.ClientSession(f"{url}") as http:
        async with http.post("/api/v1/accounts", json=account) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        group = {"kind": "group", "name": "garden"}
        async with http.post("/api/v1/rooms", json=group, headers=headers) as answer:
            room = await answer.json()
        for number in range(CHANGES):
            path, change = f"/api/v1/rooms/{room['id']}", {"name": f"garden {number}"}
            async with http.patch(path, json=change, headers=headers) as answer:
                assert answer.status == 200
        path = f"/api/v1/rooms/{room['id']}/events"
        async with http.get(path, headers=headers) as answer:
            events = (await answer.json())["events"]
    seqs = {event["seq"] for event in events}
    assert len(seqs) > CHANGES
    return seqs
