"""Accounts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import DeviceRow, InviteRow, PresenceRow, SessionRow, UserRow
from storage.postgres.connections import Connection, Connections, Unstorable

_T = TypeVar("_T", bound=msgspec.Struct)

TABLES: dict[type[msgspec.Struct], tuple[str, str]] = {
    UserRow: ("users", "id"),
    DeviceRow: ("devices", "id"),
    SessionRow: ("sessions", "id"),
    InviteRow: ("invites", "hash"),
    PresenceRow: ("presence", "user_id"),
}
"""The table of each kind of row, and its key."""
AFTER_ALL = "\U0010ffff"


class PostgresAccounts:
    """Implements `storage.api.Accounts`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add_user(
        self, user: UserRow, *, invite_hash: str | None = None, now_ms: int = 0
    ) -> Literal["ok", "taken", "no_invite"]:
        async def add(connection: Connection) -> Literal["ok", "taken", "no_invite"]:
            sql = "SELECT 1 FROM users WHERE username = $1"
            if await connection.fetchval(sql, user.username) is not None:
                return "taken"
            new = user
            if invite_hash is not None:
                admin = await connection.fetchval(USE_INVITE, invite_hash, now_ms)
                if admin is None:
                    return "no_invite"
                new = msgspec.structs.replace(user, admin=user.admin or admin)
            # Of two at once the second waits here, and gives its invitation back.
            done = await connection.execute(ADD_USER, *msgspec.structs.astuple(new))
            if done == "INSERT 0 0":
                raise _Taken
            await _put_words(connection, new)
            return "ok"

        try:
            return await self._connections.transaction(add)
        except _Taken:
            return "taken"

    async def user_by_name(self, username: str) -> UserRow | None:
        return _first(await self._find(UserRow, "WHERE username = $1", username))

    async def users(self, user_ids: Collection[UserId]) -> dict[UserId, UserRow]:
        rows = await self._find(UserRow, AMONG, [*user_ids])
        return {row.id: row for row in rows}

    async def search_users(
        self, query: str, *, among: Collection[UserId] | None, limit: int
    ) -> list[UserRow]:
        start = query.casefold()
        tail = "WHERE id IN (SELECT user_id FROM user_words WHERE word >= $1 AND word < $2)"
        params: list[object] = [start, start + AFTER_ALL, limit]
        if among is not None:
            tail += " AND id = ANY ($4::text[])"
            params.append([*among])
        return await self._find(UserRow, tail + " ORDER BY username LIMIT $3", *params)

    async def all_users(self, *, after: str | None = None, limit: int = 500) -> list[UserRow]:
        tail = "WHERE username > $1 ORDER BY username LIMIT $2"
        return await self._find(UserRow, tail, after or "", limit)

    async def update_user(self, user_id: UserId, changes: Mapping[str, Any]) -> UserRow | None:
        unknown = changes.keys() - (set(UserRow.__struct_fields__) - {"id", "username"})
        if unknown:
            raise ValueError(f"cannot change {sorted(unknown)} of a user")

        async def update(connection: Connection) -> UserRow | None:
            found = await connection.fetchrow(_select(UserRow, "WHERE id = $1 FOR UPDATE"), user_id)
            if found is None:
                return None
            row = msgspec.structs.replace(UserRow(*found), **changes)
            await connection.execute(_put(UserRow), *msgspec.structs.astuple(row))
            if "display_name" in changes:
                await _put_words(connection, row)
            return row

        return await self._connections.transaction(update)

    async def count_users(self) -> int:
        return int(await self._connections.value("SELECT count(*) FROM users"))

    async def put_device(self, device: DeviceRow) -> None:
        await self._store(device)

    async def devices(self, device_ids: Collection[DeviceId]) -> dict[DeviceId, DeviceRow]:
        rows = await self._find(DeviceRow, AMONG, [*device_ids])
        return {row.id: row for row in rows}

    async def devices_of(self, user_id: UserId) -> list[DeviceRow]:
        return await self._find(DeviceRow, "WHERE user_id = $1 ORDER BY created_at, id", user_id)

    async def add_session(self, session: SessionRow) -> None:
        await self._store(session)

    async def session(self, session_id: SessionId) -> SessionRow | None:
        return _first(await self._find(SessionRow, "WHERE id = $1", session_id))

    async def sessions_of(self, user_id: UserId) -> list[SessionRow]:
        tail = "WHERE user_id = $1 AND ended_at IS NULL ORDER BY created_at DESC, id DESC"
        return await self._find(SessionRow, tail, user_id)

    async def advance_session(
        self, session_id: SessionId, *, from_generation: int, now_ms: int, expires_at: int
    ) -> bool:
        sql = """UPDATE sessions SET generation = generation + 1, used_generation = $2,
            last_used_at = greatest(last_used_at, $3), expires_at = $4
            WHERE id = $1 AND generation = $2 AND ended_at IS NULL"""
        params = (session_id, from_generation, now_ms, expires_at)
        return await self._connections.execute(sql, *params) == 1

    async def use_session(self, session_id: SessionId, *, generation: int, now_ms: int) -> None:
        sql = """UPDATE sessions SET used_generation = greatest(used_generation, $2),
            last_used_at = greatest(last_used_at, $3) WHERE id = $1"""
        await self._connections.execute(sql, session_id, generation, now_ms)

    async def end_sessions(
        self, session_ids: Collection[SessionId], now_ms: int
    ) -> list[SessionId]:
        sql = """UPDATE sessions SET ended_at = $2
            WHERE id = ANY ($1::text[]) AND ended_at IS NULL RETURNING id"""
        rows = await self._connections.fetch(sql, [*session_ids], now_ms)
        ended = {session_id for (session_id,) in rows}
        return [session_id for session_id in dict.fromkeys(session_ids) if session_id in ended]

    async def logged_out(self, *, since_ms: int, now_ms: int, limit: int) -> dict[UserId, int]:
        return dict(await self._connections.fetch(LOGGED_OUT, since_ms, now_ms, limit))

    async def put_recovery_codes(self, user_id: UserId, hashes: Sequence[str]) -> None:
        put = "INSERT INTO recovery_codes (user_id, hash) SELECT $1, unnest($2::text[])"

        async def replace(connection: Connection) -> None:
            await connection.execute("DELETE FROM recovery_codes WHERE user_id = $1", user_id)
            await connection.execute(put, user_id, [*set(hashes)])

        await self._connections.transaction(replace)

    async def use_recovery_code(self, user_id: UserId, hash: str) -> bool:
        sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2"
        return await self._connections.execute(sql, user_id, hash) == 1

    async def use_totp_step(self, user_id: UserId, step: int) -> bool:
        sql = """INSERT INTO totp_steps AS t (user_id, step) VALUES ($1, $2)
            ON CONFLICT (user_id) DO UPDATE SET step = excluded.step WHERE excluded.step > t.step"""
        return await self._connections.execute(sql, user_id, step) == 1

    async def add_invite(self, invite: InviteRow) -> None:
        await self._store(invite)

    async def invites(self) -> list[InviteRow]:
        return await self._find(InviteRow, "ORDER BY created_at, hash")

    async def set_block(self, user_id: UserId, blocked_id: UserId, on: bool) -> None:
        put = "INSERT INTO blocks (user_id, blocked_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        drop = "DELETE FROM blocks WHERE user_id = $1 AND blocked_id = $2"
        await self._connections.execute(put if on else drop, user_id, blocked_id)

    async def blocks_of(self, user_id: UserId) -> list[UserId]:
        sql = "SELECT blocked_id FROM blocks WHERE user_id = $1 ORDER BY blocked_id"
        return [blocked for (blocked,) in await self._connections.fetch(sql, user_id)]

    async def blocked(self, by: UserId, user_id: UserId) -> bool:
        sql = "SELECT true FROM blocks WHERE user_id = $1 AND blocked_id = $2"
        return bool(await self._connections.value(sql, by, user_id))

    async def presence(self, user_ids: Collection[UserId]) -> dict[UserId, PresenceRow]:
        rows = await self._find(PresenceRow, "WHERE user_id = ANY ($1::text[])", [*user_ids])
        return {row.user_id: row for row in rows}

    async def put_presence(self, row: PresenceRow) -> None:
        await self._store(row)

    async def secret(self, name: str, fresh: bytes) -> bytes:
        put = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        await self._connections.execute(put, name, fresh)
        found = await self._connections.value("SELECT value FROM secrets WHERE name = $1", name)
        return bytes(found)

    async def _find(self, kind: type[_T], tail: str, *params: object) -> list[_T]:
        try:
            rows = await self._connections.fetch(_select(kind, tail), *params)
        except Unstorable:
            return []
        return [kind(*row) for row in rows]

    async def _store(self, row: msgspec.Struct) -> None:
        await self._connections.execute(_put(type(row)), *msgspec.structs.astuple(row))


class _Taken(Exception):
    """Undoes the transaction."""


AMONG = "WHERE id = ANY ($1::text[])"
USE_INVITE = """UPDATE invites SET uses_left = uses_left - 1
    WHERE hash = $1 AND uses_left > 0 AND expires_at > $2 RETURNING admin"""
LOGGED_OUT = """SELECT user_id, max(ended_at) FROM sessions AS gone
    WHERE ended_at >= $1 AND NOT EXISTS (SELECT 1 FROM sessions AS one
        WHERE one.user_id = gone.user_id AND one.ended_at IS NULL AND one.expires_at > $2)
    GROUP BY user_id ORDER BY 2 DESC LIMIT $3"""


def _select(kind: type[msgspec.Struct], tail: str) -> str:
    return f"SELECT {', '.join(kind.__struct_fields__)} FROM {TABLES[kind][0]} {tail}"


def _insert(kind: type[msgspec.Struct]) -> str:
    fields = kind.__struct_fields__
    marks = ", ".join(f"${i}" for i in range(1, len(fields) + 1))
    return f"INSERT INTO {TABLES[kind][0]} ({', '.join(fields)}) VALUES ({marks})"


def _put(kind: type[msgspec.Struct]) -> str:
    key = TABLES[kind][1]
    sets = ", ".join(f"{name} = excluded.{name}" for name in kind.__struct_fields__ if name != key)
    return f"{_insert(kind)} ON CONFLICT ({key}) DO UPDATE SET {sets}"


ADD_USER = _insert(UserRow) + " ON CONFLICT DO NOTHING"


async def _put_words(connection: Connection, user: UserRow) -> None:
    """What `search_users` finds him by: his user name, his display name and each word of it."""
    words = {user.username, user.display_name, *user.display_name.split()}
    await connection.execute("DELETE FROM user_words WHERE user_id = $1", user.id)
    await connection.execute(
        "INSERT INTO user_words (word, user_id) SELECT unnest($2::text[]), $1",
        user.id,
        [*{word.casefold() for word in words}],
    )


def _first(rows: Sequence[_T]) -> _T | None:
    return rows[0] if rows else None
