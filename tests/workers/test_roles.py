"""Which paths each role serves, and what the command line says to roles that are none."""

from __future__ import annotations

import pytest

from server.cli.app import run
from server.http.roles import check_served
from server.kernel.config import Role
from server.kernel.errors import NotFound

SOCKETS = ("/socket.io/", "/socket.io")
API = ("/api/v1/server", "/api/v1/rooms", "/", "/assets/page.js", "/socket.iox")
HEALTH = ("/healthz", "/readyz", "/metrics")


@pytest.mark.parametrize(
    ("roles", "served", "refused"),
    [
        (("all",), (*SOCKETS, *API, *HEALTH), ()),
        (("hub",), (*SOCKETS, *HEALTH), API),
        (("api",), (*API, *HEALTH), SOCKETS),
        (("media",), HEALTH, (*SOCKETS, *API)),
        (("worker",), HEALTH, (*SOCKETS, *API)),
        (("hub", "api"), (*SOCKETS, *API, *HEALTH), ()),
    ],
)
def test_the_table_of_roles(roles: tuple[Role, ...], served, refused) -> None:
    for path in served:
        check_served(roles, path)
    for path in refused:
        with pytest.raises(NotFound, match="ask one with the role"):
            check_served(roles, path)


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("hub,apo", "'apo' is none of all, hub, api, media, worker"),
        ("", "'' is none of"),
    ],
)
def test_a_role_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], role, told) -> None:
    assert run(["serve", "--role", role]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--workers", "3"), ("--role", "hub")])
def test_several_processes_need_stores_that_they_can_share(capsys, option) -> None:
    assert run(["serve", *option]) == 1
    assert "set store.log to postgres or cassandra" in capsys.readouterr().err
