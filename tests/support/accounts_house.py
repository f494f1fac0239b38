"""A server's HTTP side with accounts on the memory store and a virtual clock, for tests."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from server.accounts.routes import routes
from server.accounts.wiring import AccountsPart, build
from server.http.app import make_app, runner_options
from server.kernel.clock import Virtual
from server.kernel.config import Config
from server.kernel.ids import SessionId
from storage.memory.store import MemoryStore, open_memory

PASSWORD = "correct horse battery"


class EndedSockets:
    """Remembers what the hub would have been told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        self.told += [(session_id, reason) for session_id in session_ids]


class House:
    """`call` speaks HTTP to the application; `accounts` and `store` are what stands behind it."""

    def __init__(self, store: MemoryStore, accounts: AccountsPart, clock: Virtual) -> None:
        self.store = store
        self.accounts = accounts
        self.clock = clock
        self.sockets = EndedSockets()
        accounts.attach_outlet(self.sockets)
        self.client: TestClient[Any, Any]

    async def call(
        self, method: str, path: str, body: Any = None, token: str = "", **more: Any
    ) -> tuple[int, Any]:
        """Status and decoded body (None: no content)."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= more.pop("headers", {})
        if body is not None:
            more["json"] = body
        async with self.client.request(
            method, f"/api/v1{path}", headers=headers, **more
        ) as response:
            raw = await response.read()
            return response.status, msgspec.json.decode(raw) if raw else None

    async def sign_up(self, username: str, **more: Any) -> dict[str, Any]:
        body = {"username": username, "password": PASSWORD, **more}
        status, session = await self.call("POST", "/accounts", body)
        assert status == 201, session
        return dict(session)

    async def log_in(self, username: str, **more: Any) -> tuple[int, Any]:
        body = {"username": username, "password": PASSWORD, **more}
        return await self.call("POST", "/sessions", body)

    async def close(self) -> None:
        await self.client.close()
        self.accounts.close()


async def open_house(
    settings: dict[str, dict[str, Any]] | None = None,
    *,
    web_root: Path | None = None,
    **app_options: Any,
) -> House:
    """Settings as in the configuration file, {"limits": {"signup_per_h": 3}}."""
    config = msgspec.convert(settings or {}, Config)
    clock, store = Virtual(), open_memory()
    accounts = await build(config, store, clock=clock)
    house = House(store, accounts, clock)
    app = make_app(
        config, routes.bind(accounts), authenticate=accounts.authenticate,
        checks={"store": store.check}, web_root=web_root, clock=clock, **app_options,
    )  # fmt: skip
    server = TestServer(app)
    await server.start_server(**runner_options(config))
    house.client = TestClient(server)
    await house.client.start_server()
    return house
