"""Logging in: what it tells, what it limits, what it gives."""

from __future__ import annotations

import pytest

from tests.support.accounts_house import House, open_house


async def test_who_signed_up_can_log_in_in_any_case_of_his_name(house: House) -> None:
    await house.sign_up("Alice", display_name="Alice A.")

    status, session = await house.log_in("ALICE", device_name="Laptop", platform="linux")

    assert status == 201
    assert session["user"]["username"] == "alice"
    assert session["user"]["display_name"] == "Alice A."
    assert session["device"]["name"] == "Laptop"
    assert session["expires_in_s"] == 900


async def test_a_wrong_name_and_a_wrong_password_get_the_same_answer_for_the_same_work(
    house: House,
) -> None:
    await house.sign_up("alice")

    before = house.accounts.work.verifications
    wrong_password = await house.log_in("alice", password="something else")
    between = house.accounts.work.verifications
    wrong_name = await house.log_in("nobody", password="something else")

    assert wrong_password == wrong_name
    assert wrong_name[0] == 401
    assert wrong_name[1]["code"] == "unauthorized"
    assert "field" not in wrong_name[1]
    assert between - before == house.accounts.work.verifications - between == 1


async def test_a_disabled_user_is_refused_like_a_wrong_password(house: House) -> None:
    await house.sign_up("alice")
    await house.accounts.operator.set_disabled("alice")

    refused = await house.log_in("alice")

    assert refused == await house.log_in("nobody")


async def test_failed_logins_are_limited_by_name_also_for_names_nobody_has() -> None:
    house = await open_house({"limits": {"login_fail_per_min": 3}})
    try:
        for _ in range(3):
            assert (await house.log_in("nobody"))[0] == 401

        status, refusal = await house.log_in("nobody")
        house.clock.advance(61)
        later, _ = await house.log_in("nobody")

        assert status == 429
        assert refusal["code"] == "rate_limited"
        assert 0 < refusal["retry_after_s"] <= 20
        assert later == 401
    finally:
        await house.close()


async def test_right_logins_are_not_limited() -> None:
    house = await open_house({"limits": {"login_fail_per_min": 2}})
    try:
        await house.sign_up("alice")

        answers = [(await house.log_in("alice"))[0] for _ in range(5)]

        assert answers == [201] * 5
    finally:
        await house.close()


async def test_a_device_id_resumes_ones_own_device_only(house: House) -> None:
    alice = await house.sign_up("alice")
    bob = await house.sign_up("bob")

    _, resumed = await house.log_in("alice", device_id=alice["device"]["id"])
    _, foreign = await house.log_in("alice", device_id=bob["device"]["id"])

    assert resumed["device"]["id"] == alice["device"]["id"]
    assert foreign["device"]["id"] not in (alice["device"]["id"], bob["device"]["id"])


@pytest.mark.parametrize("name", ["a", "x" * 33, "with space", "ünicode", "nl\n"])
async def test_a_bad_user_name_is_refused_by_name(house: House, name: str) -> None:
    status, refusal = await house.call(
        "POST", "/accounts", {"username": name, "password": "long enough"}
    )

    assert (status, refusal["code"], refusal["field"]) == (400, "invalid", "username")


async def test_a_taken_name_is_a_conflict_in_any_case(house: House) -> None:
    await house.sign_up("alice")

    status, refusal = await house.call(
        "POST", "/accounts", {"username": "ALICE", "password": "long enough"}
    )

    assert (status, refusal["code"]) == (409, "conflict")


async def test_sign_ups_are_limited_by_address() -> None:
    house = await open_house({"limits": {"signup_per_h": 2}})
    try:
        await house.sign_up("u1")
        await house.sign_up("u2")

        status, refusal = await house.call(
            "POST", "/accounts", {"username": "u3", "password": "long enough"}
        )

        assert (status, refusal["code"]) == (429, "rate_limited")
    finally:
        await house.close()


async def test_a_login_link_works_once(house: House) -> None:
    await house.accounts.operator.ensure_user("alice", display_name="Alice")
    link = await house.accounts.operator.login_link("http://x", "alice")
    code = link.partition("#login=")[2]

    first, session = await house.call("POST", "/sessions/link", {"code": code})
    second, refusal = await house.call("POST", "/sessions/link", {"code": code})

    assert (first, session["user"]["username"]) == (201, "alice")
    assert (second, refusal["code"]) == (401, "unauthorized")


async def test_a_user_without_a_password_cannot_log_in_by_one(house: House) -> None:
    await house.accounts.operator.ensure_user("alice")

    status, _ = await house.log_in("alice", password="!")

    assert status == 401
