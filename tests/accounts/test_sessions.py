"""Sessions: rotation, reuse, revocation."""

from __future__ import annotations

from typing import Any

from tests.support.accounts_house import PASSWORD, House


async def refresh(house: House, session: dict[str, Any]) -> tuple[int, Any]:
    body = {"refresh_token": session["refresh_token"]}
    return await house.call("POST", "/sessions/refresh", body)


async def me(house: House, session: dict[str, Any]) -> int:
    return (await house.call("GET", "/me", token=session["access_token"]))[0]


async def test_the_old_token_answers_the_same_successor_until_that_was_used(house: House) -> None:
    first = await house.sign_up("alice")

    _, second = await refresh(house, first)
    again_status, again = await refresh(house, first)

    assert again_status == 200
    assert again["refresh_token"] == second["refresh_token"] != first["refresh_token"]
    assert again["session_id"] == first["session_id"]


async def test_the_old_token_revokes_the_family_once_the_new_access_token_was_used(
    house: House,
) -> None:
    first = await house.sign_up("alice")
    _, second = await refresh(house, first)
    assert await me(house, second) == 200

    status, refusal = await refresh(house, first)

    assert (status, refusal["code"]) == (401, "unauthorized")
    assert await me(house, second) == 401
    assert (await refresh(house, second))[0] == 401
    assert house.sockets.told == [(first["session_id"], "reused")]


async def test_the_old_token_revokes_the_family_once_the_new_refresh_token_was_used(
    house: House,
) -> None:
    first = await house.sign_up("alice")
    _, second = await refresh(house, first)
    _, third = await refresh(house, second)

    status, _ = await refresh(house, first)

    assert status == 401
    assert await me(house, third) == 401


async def test_a_made_up_refresh_token_ends_nothing(house: House) -> None:
    first = await house.sign_up("alice")
    head, _, mac = first["refresh_token"].rpartition(".")

    forged = {"refresh_token": f"{head}.{'A' if mac[0] != 'A' else 'B'}{mac[1:]}"}
    status, _ = await refresh(house, forged)

    assert status == 401
    assert await me(house, first) == 200


async def test_an_access_token_is_over_after_its_time_and_the_session_is_not(house: House) -> None:
    first = await house.sign_up("alice")
    assert await me(house, first) == 200

    house.clock.advance(901)

    assert await me(house, first) == 401
    status, second = await refresh(house, first)
    assert status == 200
    assert await me(house, second) == 200


async def test_a_revoked_session_is_refused_at_once_and_its_sockets_are_told(house: House) -> None:
    alice = await house.sign_up("alice")
    _, phone = await house.log_in("alice", device_name="Phone")
    assert await me(house, phone) == 200

    status, nothing = await house.call(
        "DELETE", f"/sessions/{phone['session_id']}", token=alice["access_token"]
    )

    assert (status, nothing) == (204, None)
    assert await me(house, phone) == 401
    assert await me(house, alice) == 200
    assert house.sockets.told == [(phone["session_id"], "revoked")]


async def test_a_session_ended_by_another_process_is_refused_within_a_second(house: House) -> None:
    alice = await house.sign_up("alice")
    assert await me(house, alice) == 200

    await house.store.accounts.end_sessions([alice["session_id"]], house.clock.now_ms())
    house.clock.advance(1)

    assert await me(house, alice) == 401


async def test_ones_own_sessions_are_listed_and_others_cannot_be_ended(house: House) -> None:
    alice = await house.sign_up("alice")
    bob = await house.sign_up("bob")

    _, listed = await house.call("GET", "/sessions", token=alice["access_token"])
    status, refusal = await house.call(
        "DELETE", f"/sessions/{bob['session_id']}", token=alice["access_token"]
    )

    assert [(s["id"], s["current"]) for s in listed["sessions"]] == [(alice["session_id"], True)]
    assert (status, refusal["code"]) == (404, "not_found")
    assert await me(house, bob) == 200


async def test_current_ends_the_callers_session(house: House) -> None:
    alice = await house.sign_up("alice")

    status, _ = await house.call("DELETE", "/sessions/current", token=alice["access_token"])

    assert status == 204
    assert await me(house, alice) == 401


async def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    alice = await house.sign_up("alice")
    _, phone = await house.log_in("alice")
    body = {"old_password": PASSWORD, "new_password": "a new pass phrase"}

    status, _ = await house.call("POST", "/me/password", body, token=alice["access_token"])

    assert status == 204
    assert await me(house, alice) == 200
    assert await me(house, phone) == 401
    assert house.sockets.told == [(phone["session_id"], "password_changed")]
    assert (await house.log_in("alice"))[0] == 401
    assert (await house.log_in("alice", password="a new pass phrase"))[0] == 201


async def test_a_wrong_old_password_changes_nothing(house: House) -> None:
    alice = await house.sign_up("alice")
    body = {"old_password": "wrong", "new_password": "a new pass phrase"}

    status, refusal = await house.call("POST", "/me/password", body, token=alice["access_token"])

    assert (status, refusal["code"], refusal["field"]) == (403, "forbidden", "old_password")
    assert (await house.log_in("alice"))[0] == 201


async def test_a_token_seen_before_is_answered_without_the_store(house: House) -> None:
    alice = await house.sign_up("alice")
    assert await me(house, alice) == 200

    known = house.accounts.authenticate(alice["access_token"])

    assert getattr(known, "user_id", None) == alice["user"]["id"]
