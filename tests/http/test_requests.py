"""Strict reading and uniform refusals over real HTTP on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.accounts_house import House, open_house

JSON = {"Content-Type": "application/json"}


async def post(house: House, data: bytes, headers: dict[str, str] = JSON) -> tuple[int, Any]:
    return await house.call("POST", "/sessions", data=data, headers=headers)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b'{"username": NaN}', b'{"username": 1e999}', b"\xff\xfe",
        b'{"username":"a","username":"b","password":"x"}', b'{"username":"\\u0000","password":"x"}',
        b'{"username":"\\ud800","password":"x"}', b"[" * 5000, b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"username":"a","password":"b","more":1}',
    ],
)  # fmt: skip
async def test_a_body_that_breaks_the_contract_is_invalid(house: House, data: bytes) -> None:
    status, refusal = await post(house, data)

    assert (status, refusal["code"]) == (400, "invalid")


async def test_a_refusal_is_a_problem_with_all_its_members(house: House) -> None:
    async with house.client.post("/api/v1/sessions", json={"username": 5}) as response:
        refusal = await response.json(content_type="application/problem+json")

    assert set(refusal) == {"type", "title", "status", "detail", "code", "field"}
    assert (refusal["status"], refusal["title"]) == (400, "Bad Request")
    assert refusal["field"] == "username"


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16", "x", ""])
async def test_another_media_type_is_415_and_invalid(house: House, kind: str) -> None:
    status, refusal = await post(house, b"{}", {"Content-Type": kind})

    assert (status, refusal["code"]) == (415, "invalid")


async def test_a_body_over_the_limit_is_too_large_announced_or_not(house: House) -> None:
    async def in_pieces() -> Any:
        for _ in range(70):
            yield b" " * 4096

    announced, refusal = await post(house, b" " * 262_145)
    unannounced, _ = await house.call("POST", "/sessions", data=in_pieces(), headers=JSON)

    assert (announced, refusal["code"]) == (413, "too_large")
    assert unannounced == 413


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    house = await open_house({"limits": {"request_body_s": 0.05}})
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.server.port or 0)
        writer.write(
            b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 50\r\n\r\n{"
        )
        answer = await asyncio.wait_for(reader.read(200), 5)
        writer.close()

        assert b"408" in answer.split(b"\r\n")[0]
    finally:
        await house.close()


async def test_unknown_and_doubled_query_parameters_are_invalid(house: House) -> None:
    token = (await house.sign_up("alice"))["access_token"]

    for query in ("nope=1", "query=a&query=b", "limit=x", "limit=1.0", "limit=0", "query=%00"):
        status, refusal = await house.call("GET", f"/users?{query}", token=token)
        assert (status, refusal["code"]) == (400, "invalid"), query


async def test_a_wrong_method_is_405_with_not_found_and_says_which_are_allowed(
    house: House,
) -> None:
    async with house.client.put("/api/v1/me") as response:
        refusal = await response.json(content_type=None)

    assert (response.status, refusal["code"]) == (405, "not_found")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH"


async def test_an_unknown_path_is_not_found(house: House) -> None:
    assert (await house.call("GET", "/nothing/here"))[1]["code"] == "not_found"


async def test_head_answers_the_headers_alone(house: House) -> None:
    async with house.client.head("/api/v1/server") as response:
        assert response.status == 200
        assert await response.read() == b""


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer é"])
async def test_without_a_good_token_a_call_is_unauthorized(house: House, value: str) -> None:
    status, refusal = await house.call("GET", "/me", headers={"Authorization": value})

    assert (status, refusal["code"]) == (401, "unauthorized")


async def test_too_many_requests_are_refused_with_the_time_to_wait() -> None:
    house = await open_house({"limits": {"http_per_s": 1, "http_burst": 3}})
    try:
        for _ in range(3):
            assert (await house.call("GET", "/server"))[0] == 200

        async with house.client.get("/api/v1/server") as response:
            refusal = await response.json(content_type=None)

        assert (response.status, refusal["code"]) == (429, "rate_limited")
        assert 0 < refusal["retry_after_s"] <= 1
        assert response.headers["Retry-After"] == "1"
    finally:
        await house.close()


async def test_a_page_of_an_allowed_origin_may_call_and_another_may_not() -> None:
    house = await open_house({"server": {"allowed_origins": ["https://app.example"]}})
    try:
        good = {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH"}
        async with house.client.options("/api/v1/me", headers=good) as allowed:
            pass
        async with house.client.get("/api/v1/me", headers=good) as refused:
            pass
        bad = {"Origin": "https://evil.example"}
        async with house.client.options("/api/v1/me", headers=bad) as other:
            pass

        assert allowed.status == 204
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
        assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Access-Control-Allow-Origin" not in other.headers
    finally:
        await house.close()
