"""What `storage.api.Accounts` promises, over all implementations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import DeviceRow, InviteRow, PresenceRow, SessionRow, Store, UserRow
from tests.support.stores import ALICE, BOB, CAROL


def user(user_id: UserId, **given: Any) -> UserRow:
    fields: dict[str, Any] = {
        "username": str(user_id),
        "display_name": str(user_id).title(),
        "password_hash": "hash",
        "created_at": 5,
    }
    return UserRow(user_id, **fields | given)


def session(name: str, **given: Any) -> SessionRow:
    fields: dict[str, Any] = {
        "user_id": ALICE,
        "device_id": DeviceId("laptop"),
        "created_at": 5,
        "last_used_at": 5,
        "expires_at": 900,
    }
    return SessionRow(SessionId(name), **fields | given)


def invite(**given: Any) -> InviteRow:
    fields: dict[str, Any] = {"hash": "code", "created_at": 1, "expires_at": 100, "uses_left": 1}
    return InviteRow(**fields | given)


async def test_a_user_is_found_by_id_and_by_name(store: Store) -> None:
    alice = user(ALICE, email="a@example.org", admin=True, totp_secret="S", avatar_file_id="f")

    assert await store.accounts.add_user(alice) == "ok"

    assert await store.accounts.users([ALICE, BOB]) == {ALICE: alice}
    assert await store.accounts.user_by_name("alice") == alice
    assert await store.accounts.user_by_name("bob") is None
    assert await store.accounts.count_users() == 1


async def test_a_user_name_is_given_once(store: Store) -> None:
    await store.accounts.add_user(user(ALICE))

    assert await store.accounts.add_user(user(BOB, username="alice")) == "taken"

    assert await store.accounts.count_users() == 1


async def test_an_invitation_is_used_up(store: Store) -> None:
    await store.accounts.add_invite(invite(uses_left=1))

    first = await store.accounts.add_user(user(ALICE), invite_hash="code", now_ms=50)
    second = await store.accounts.add_user(user(BOB), invite_hash="code", now_ms=50)

    assert (first, second) == ("ok", "no_invite")
    assert [row.uses_left for row in await store.accounts.invites()] == [0]


async def test_a_taken_name_leaves_the_invitation_whole(store: Store) -> None:
    await store.accounts.add_user(user(ALICE))
    await store.accounts.add_invite(invite())

    await store.accounts.add_user(user(BOB, username="alice"), invite_hash="code", now_ms=50)

    assert await store.accounts.invites() == [invite()]


@pytest.mark.parametrize(("code", "now_ms"), [("other", 50), ("code", 100)])
async def test_a_wrong_or_late_invitation_is_refused(store: Store, code: str, now_ms: int) -> None:
    await store.accounts.add_invite(invite())

    assert (
        await store.accounts.add_user(user(ALICE), invite_hash=code, now_ms=now_ms) == "no_invite"
    )

    assert await store.accounts.users([ALICE]) == {}


async def test_an_administrators_invitation_makes_one(store: Store) -> None:
    await store.accounts.add_invite(invite(admin=True))

    await store.accounts.add_user(user(ALICE), invite_hash="code", now_ms=50)

    found = await store.accounts.user_by_name("alice")
    assert found is not None
    assert found.admin is True


async def test_people_are_found_by_how_their_names_begin(store: Store) -> None:
    await store.accounts.add_user(user(ALICE, display_name="Zoë Müller"))
    await store.accounts.add_user(user(BOB, display_name="Mutti"))
    await store.accounts.add_user(user(CAROL, display_name="Amu"))

    async def search(query: str, **given: Any) -> list[str]:
        rows = await store.accounts.search_users(query, **{"among": None, "limit": 9} | given)
        return [row.username for row in rows]

    assert await search("MÜ") == ["alice"]
    assert await search("zoë m") == ["alice"]
    assert await search("mu") == ["bob"]
    assert await search("A") == ["alice", "carol"]
    assert await search("a", limit=1) == ["alice"]
    assert await search("a", among=[CAROL, BOB]) == ["carol"]
    assert await search("a", among=[]) == []
    assert await search("%") == []


async def test_people_are_found_by_their_new_name_only(store: Store) -> None:
    await store.accounts.add_user(user(ALICE, display_name="Old"))

    await store.accounts.update_user(ALICE, {"display_name": "New"})

    assert await store.accounts.search_users("old", among=None, limit=9) == []
    assert len(await store.accounts.search_users("new", among=None, limit=9)) == 1


async def test_all_users_are_paged_by_name(store: Store) -> None:
    for name in (CAROL, ALICE, BOB):
        await store.accounts.add_user(user(name))

    first = await store.accounts.all_users(limit=2)
    rest = await store.accounts.all_users(after="bob")

    assert [row.id for row in first] == [ALICE, BOB]
    assert [row.id for row in rest] == [CAROL]


async def test_named_columns_of_a_user_are_set(store: Store) -> None:
    await store.accounts.add_user(user(ALICE, email="old@example.org"))

    changed = await store.accounts.update_user(ALICE, {"email": None, "disabled": True})

    assert changed == user(ALICE, disabled=True)
    assert await store.accounts.user_by_name("alice") == changed
    assert await store.accounts.update_user(BOB, {"disabled": True}) is None


@pytest.mark.parametrize("column", ["id", "username", "shoe_size"])
async def test_other_columns_are_a_mistake(store: Store, column: str) -> None:
    await store.accounts.add_user(user(ALICE))

    with pytest.raises(ValueError):
        await store.accounts.update_user(ALICE, {column: "x"})


async def test_devices_are_kept_by_id_and_user(store: Store) -> None:
    laptop = DeviceRow(DeviceId("laptop"), ALICE, "Laptop", "web", 2)
    phone = DeviceRow(DeviceId("phone"), ALICE, "Phone", "ios", 1)
    for row in (laptop, phone, DeviceRow(DeviceId("tv"), BOB, "TV", "web", 1)):
        await store.accounts.put_device(row)

    await store.accounts.put_device(msgspec.structs.replace(phone, name="New phone"))

    renamed = msgspec.structs.replace(phone, name="New phone")
    assert await store.accounts.devices_of(ALICE) == [renamed, laptop]
    assert await store.accounts.devices([phone.id, DeviceId("x")]) == {phone.id: renamed}


async def test_open_sessions_are_listed_newest_first(store: Store) -> None:
    for row in (session("a", created_at=1), session("b", created_at=3), session("c", user_id=BOB)):
        await store.accounts.add_session(row)
    await store.accounts.add_session(session("d", created_at=2))

    ended = await store.accounts.end_sessions([SessionId("d"), SessionId("x")], 70)
    again = await store.accounts.end_sessions([SessionId("d")], 80)

    assert (ended, again) == (["d"], [])
    assert [row.id for row in await store.accounts.sessions_of(ALICE)] == ["b", "a"]
    gone = await store.accounts.session(SessionId("d"))
    assert gone == session("d", created_at=2, ended_at=70)
    assert await store.accounts.session(SessionId("x")) is None


async def test_who_is_logged_out_is_told_with_when_the_latest_first(store: Store) -> None:
    async def add(name: str, user: str, ended_at: int | None, expires_at: int = 1_000) -> None:
        row = session(name, user_id=UserId(user), expires_at=expires_at)
        await store.accounts.add_session(row)
        if ended_at is not None:
            await store.accounts.end_sessions([row.id], ended_at)

    await add("a", "gone", 50)
    await add("b", "gone", 70)
    await add("c", "gone", 60)
    await add("d", "there", 70)
    await add("e", "there", None)
    await add("f", "expired", 65)
    await add("g", "expired", None, expires_at=500)
    await add("h", "long gone", 49)

    async def asked(limit: int) -> list[tuple[str, int]]:
        found = await store.accounts.logged_out(since_ms=50, now_ms=500, limit=limit)
        return list(found.items())

    assert await asked(10) == [("gone", 70), ("expired", 65)]
    assert await asked(1) == [("gone", 70)]


async def test_a_session_advances_once_from_each_generation(store: Store) -> None:
    await store.accounts.add_session(session("a"))

    async def advance(generation: int) -> bool:
        return await store.accounts.advance_session(
            SessionId("a"), from_generation=generation, now_ms=50, expires_at=2_000
        )

    assert [await advance(0), await advance(0), await advance(2)] == [True, False, False]
    assert await store.accounts.session(SessionId("a")) == session(
        "a", generation=1, used_generation=0, last_used_at=50, expires_at=2_000
    )


async def test_an_ended_or_unknown_session_does_not_advance(store: Store) -> None:
    await store.accounts.add_session(session("a"))
    await store.accounts.end_sessions([SessionId("a")], 70)

    for name in ("a", "x"):
        assert not await store.accounts.advance_session(
            SessionId(name), from_generation=0, now_ms=50, expires_at=2_000
        )


async def test_the_newest_generation_used_is_kept(store: Store) -> None:
    await store.accounts.add_session(session("a"))

    await store.accounts.use_session(SessionId("a"), generation=2, now_ms=60)
    await store.accounts.use_session(SessionId("a"), generation=1, now_ms=50)

    found = await store.accounts.session(SessionId("a"))
    assert found == session("a", used_generation=2, last_used_at=60)


async def test_a_recovery_code_works_once(store: Store) -> None:
    await store.accounts.put_recovery_codes(ALICE, ["one", "two"])

    used = [await store.accounts.use_recovery_code(ALICE, code) for code in ("one", "one", "x")]

    assert used == [True, False, False]
    assert await store.accounts.use_recovery_code(BOB, "two") is False


async def test_new_recovery_codes_replace_the_old(store: Store) -> None:
    await store.accounts.put_recovery_codes(ALICE, ["one"])

    await store.accounts.put_recovery_codes(ALICE, ["two"])

    assert await store.accounts.use_recovery_code(ALICE, "one") is False
    assert await store.accounts.use_recovery_code(ALICE, "two") is True


async def test_a_one_time_step_works_once_and_older_ones_never(store: Store) -> None:
    used = [await store.accounts.use_totp_step(ALICE, step) for step in (10, 10, 9, 11)]

    assert used == [True, False, False, True]
    assert await store.accounts.use_totp_step(BOB, 10) is True


async def test_invitations_are_listed_oldest_first(store: Store) -> None:
    await store.accounts.add_invite(invite(hash="b", created_at=2))
    await store.accounts.add_invite(invite(hash="c", created_at=1))

    assert [row.hash for row in await store.accounts.invites()] == ["c", "b"]


async def test_blocks_go_one_way_and_can_be_lifted(store: Store) -> None:
    await store.accounts.set_block(ALICE, CAROL, True)
    await store.accounts.set_block(ALICE, BOB, True)
    await store.accounts.set_block(ALICE, BOB, True)

    assert await store.accounts.blocks_of(ALICE) == [BOB, CAROL]
    assert await store.accounts.blocked(ALICE, BOB) is True
    assert await store.accounts.blocked(BOB, ALICE) is False
    await store.accounts.set_block(ALICE, BOB, False)
    assert await store.accounts.blocks_of(ALICE) == [CAROL]


async def test_presence_is_what_was_put_last(store: Store) -> None:
    await store.accounts.put_presence(PresenceRow(ALICE, "busy", "in a call", 4))
    await store.accounts.put_presence(PresenceRow(ALICE, "away", None, 5))

    assert await store.accounts.presence([ALICE, BOB]) == {
        ALICE: PresenceRow(ALICE, "away", None, 5)
    }


async def test_a_secret_is_made_once(store: Store) -> None:
    first = await store.accounts.secret("signing", bytes(range(32)))
    second = await store.accounts.secret("signing", b"other")

    assert (first, second) == (bytes(range(32)), bytes(range(32)))
    assert await store.accounts.secret("else", b"\0") == b"\0"
