"""Every call of the served OpenAPI with made-up input: no fault of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

from tests.support.process import start_server

LIMITS_OFF = {
    "HUBBUB_LIMITS__HTTP_PER_S": "0",
    "HUBBUB_LIMITS__LOGIN_FAIL_PER_MIN": "0",
    "HUBBUB_LIMITS__SIGNUP_PER_H": "0",
    "HUBBUB_SERVER__DIRECTORY": "true",
}


class Served(NamedTuple):
    url: str
    headers: dict[str, str]
    real: dict[str, str]
    """Path parameters that exist."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    with start_server(folder, env=LIMITS_OFF) as server:
        people = [sign_up(server.base_url, name) for name in ("alice", "bob")]
        headers = {"Authorization": f"Bearer {people[0]['access_token']}"}
        body = {"kind": "group", "name": "garden", "member_ids": [people[1]["user"]["id"]]}
        room = requests.post(
            f"{server.base_url}/api/v1/rooms", json=body, headers=headers, timeout=10
        ).json()
        real = {"room_id": room["id"], "user_id": people[1]["user"]["id"]}
        yield Served(server.base_url, headers, real)


def sign_up(url: str, name: str) -> dict[str, dict[str, str]]:
    account = {"username": name, "password": "correct horse"}
    answer = requests.post(f"{url}/api/v1/accounts", json=account, timeout=10)
    assert answer.status_code == 201, answer.text
    session: dict[str, dict[str, str]] = answer.json()
    return session


@pytest.mark.slow
def test_no_made_up_input_is_answered_with_a_fault(served: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/api/v1/openapi.json")
    statuses: dict[str, set[int]] = {}

    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith("/api/v1/sessions/{"):
            continue  # it would log us out

        @settings(
            max_examples=25, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def attack(case):  # type: ignore[no-untyped-def]
            seen = statuses.setdefault(case.operation.label, set())
            if seen and case.path_parameters:  # past the door: what is behind it
                case.path_parameters.update(
                    {n: v for n, v in served.real.items() if n in case.path_parameters}
                )
            response = case.call(base_url=served.url, headers=served.headers)
            case.validate_response(response, checks=[not_a_server_error])
            seen.add(response.status_code)

        given(case=operation.as_strategy())(attack)()

    assert len(statuses) >= 28, sorted(statuses)
    assert all(status < 500 for seen in statuses.values() for status in seen)
