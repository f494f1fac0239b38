"""The second factor: set up, asked for, worn out, given up."""

from __future__ import annotations

from typing import Any

from crypto.one_time_passwords import code_at
from tests.support.accounts_house import PASSWORD, House


async def set_up(house: House, session: dict[str, Any]) -> tuple[str, list[str]]:
    token = session["access_token"]
    _, setup = await house.call("POST", "/me/totp", {"password": PASSWORD}, token=token)
    code = code_at(setup["secret"], house.clock.now_ms() / 1000)
    status, codes = await house.call(
        "POST", "/me/totp/confirm", {"setup": setup["setup"], "code": code}, token=token
    )
    assert status == 200, codes
    house.clock.advance(30)
    return setup["secret"], codes["recovery_codes"]


async def test_the_code_is_asked_for_only_after_a_right_password(house: House) -> None:
    await set_up(house, await house.sign_up("alice"))

    wrong = await house.log_in("alice", password="wrong password")
    right, refusal = await house.log_in("alice")

    assert wrong[0] == 401
    assert "field" not in wrong[1]
    assert (right, refusal["code"], refusal["field"]) == (401, "unauthorized", "totp")


async def test_a_code_logs_in_once(house: House) -> None:
    secret, _ = await set_up(house, await house.sign_up("alice"))
    code = code_at(secret, house.clock.now_ms() / 1000)

    first, _ = await house.log_in("alice", totp=code)
    second, refusal = await house.log_in("alice", totp=code)

    assert first == 201
    assert (second, refusal["field"]) == (401, "totp")


async def test_a_recovery_code_logs_in_once_however_it_is_typed(house: House) -> None:
    _, codes = await set_up(house, await house.sign_up("alice"))

    first, _ = await house.log_in("alice", totp=codes[0].upper().replace("-", " "))
    second, _ = await house.log_in("alice", totp=codes[0])

    assert len(codes) == 10
    assert (first, second) == (201, 401)


async def test_nothing_changes_before_the_first_right_code(house: House) -> None:
    alice = await house.sign_up("alice")
    token = alice["access_token"]
    _, setup = await house.call("POST", "/me/totp", {"password": PASSWORD}, token=token)

    status, refusal = await house.call(
        "POST", "/me/totp/confirm", {"setup": setup["setup"], "code": "000000x"}, token=token
    )

    assert (status, refusal["field"]) == (400, "code")
    assert (await house.log_in("alice"))[0] == 201


async def test_it_is_disabled_by_password_and_code(house: House) -> None:
    alice = await house.sign_up("alice")
    _, codes = await set_up(house, alice)
    body = {"password": PASSWORD, "totp": codes[1]}

    status, _ = await house.call("POST", "/me/totp/disable", body, token=alice["access_token"])

    assert status == 204
    assert (await house.log_in("alice"))[0] == 201
