"""No line of the log, at any level, holds what must stay secret."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from server.kernel.logs import configure_logs
from tests.support.accounts_house import PASSWORD, open_house


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", written)
    configure_logs("debug", "json")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_a_full_scenario_logs_no_password_token_address_or_mail(lines: io.StringIO) -> None:
    house = await open_house()
    try:
        alice = await house.sign_up("alice", email="alice@mail.example", display_name="Alice Ink")
        token = alice["access_token"]
        await house.log_in("alice", password="a wrong password")
        await house.call("GET", "/users?query=whom-i-seek", token=token)
        await house.call("GET", "/me", token="not-" + token)
        await house.call("POST", "/sessions/refresh", {"refresh_token": alice["refresh_token"]})
        body = {"old_password": PASSWORD, "new_password": "a new pass phrase"}
        await house.call("POST", "/me/password", body, token=token)
        await house.call("GET", f"/{alice['refresh_token']}")
        house.store.outage = True
        await house.call("GET", "/me", token=token)
    finally:
        await house.close()

    text = lines.getvalue()
    assert "http.answered" in text
    for secret in (
        PASSWORD, "a wrong password", "a new pass phrase", token, alice["refresh_token"],
        "127.0.0.1", "alice@mail.example", "whom-i-seek", "Alice Ink", token.split(".")[2],
    ):  # fmt: skip
        assert secret not in text
