"""Invitations, the first administrator, profiles and search."""

from __future__ import annotations

from tests.support.accounts_house import House, open_house


async def test_the_first_administrators_link_works_once_and_ends_with_the_first_user() -> None:
    house = await open_house({"server": {"registration": "invite"}})
    try:
        link = await house.accounts.first_admin_link("https://chat.example")
        assert link is not None
        code = link.partition("#invite=")[2]

        refused, _ = await house.call(
            "POST", "/accounts", {"username": "eve", "password": "long enough"}
        )
        alice = await house.sign_up("alice", invite=code)
        again, refusal = await house.call(
            "POST", "/accounts", {"username": "eve", "password": "long enough", "invite": code}
        )
        _, me = await house.call("GET", "/me", token=alice["access_token"])

        assert refused == 403
        assert me["admin"] is True
        assert (again, refusal["field"]) == (403, "invite")
        assert await house.accounts.first_admin_link("https://chat.example") is None
    finally:
        await house.close()


async def test_an_administrator_invites_and_others_may_not(house: House) -> None:
    await house.accounts.operator.create_user("root", admin=True)
    root = (await house.accounts.operator.mint("root")).access_token
    alice = await house.sign_up("alice")

    status, invite = await house.call("POST", "/invites", {"uses": 2}, token=root)
    refused, _ = await house.call("POST", "/invites", {}, token=alice["access_token"])
    _, listed = await house.call("GET", "/invites", token=root)

    assert (status, invite["uses_left"]) == (201, 2)
    assert refused == 403
    assert invite["code"] not in str(listed)
    assert len(listed["invites"]) == 1


async def test_strangers_find_each_other_only_in_a_directory(house: House) -> None:
    alice = await house.sign_up("alice")
    bob = await house.sign_up("bob")
    open_book = await open_house({"server": {"directory": True}})
    try:
        carol = await open_book.sign_up("carol")
        await open_book.sign_up("dave", display_name="Big Dave")

        _, hidden = await house.call("GET", "/users?query=bo", token=alice["access_token"])
        status, _ = await house.call(
            "GET", f"/users/{bob['user']['id']}", token=alice["access_token"]
        )
        _, shown = await open_book.call("GET", "/users?query=dav", token=carol["access_token"])

        assert hidden == {"users": []}
        assert status == 404
        assert [user["username"] for user in shown["users"]] == ["dave"]
    finally:
        await open_book.close()


async def test_the_display_name_can_be_changed_and_an_unknown_avatar_is_not_found(
    house: House,
) -> None:
    alice = await house.sign_up("alice")
    token = alice["access_token"]

    status, me = await house.call("PATCH", "/me", {"display_name": " Alice "}, token=token)
    avatar, refusal = await house.call("PATCH", "/me", {"avatar_file_id": "x"}, token=token)

    assert (status, me["display_name"]) == (200, "Alice")
    assert (avatar, refusal["code"], refusal["field"]) == (404, "not_found", "avatar_file_id")


async def test_the_server_tells_its_limits_and_its_clock(house: House) -> None:
    status, info = await house.call("GET", "/server")

    assert status == 200
    assert set(info) == {"version", "features", "limits", "registration", "now"}
    assert set(info["limits"]) == {
        "packet_bytes", "text_chars", "send_per_s", "send_burst", "signup_per_h",
        "connect_per_s", "file_bytes",
    }  # fmt: skip
    assert info["now"] == house.clock.now_ms()
    assert info["registration"] == "open"
