"""Every call of the served OpenAPI with made-up input: no fault of ours, nothing undocumented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

from tests.support.accounts_house import open_house

OFF = {
    "limits": {"http_per_s": 0, "login_fail_per_min": 0, "signup_per_h": 0},
    "server": {"directory": True},
}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, str]]:
    """(base URL, access token) of a server on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="served")
    thread.start()

    def run(work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    house = run(open_house(OFF))
    run(house.accounts.operator.create_user("root", admin=True))
    token = run(house.accounts.operator.mint("root")).access_token
    yield str(house.client.make_url("/")).rstrip("/"), token
    run(house.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.slow
def test_no_made_up_input_is_answered_with_a_fault(served: tuple[str, str]) -> None:
    url, token = served
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
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
            response = case.call(base_url=url, headers=headers)
            case.validate_response(response, checks=[not_a_server_error])
            statuses.setdefault(case.operation.label, set()).add(response.status_code)

        given(case=operation.as_strategy())(attack)()

    assert len(statuses) >= 15
    assert all(status < 500 for seen in statuses.values() for status in seen)
