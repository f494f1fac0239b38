"""Accounts in SQLite, in the same file as the logs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import DeviceRow, InviteRow, PresenceRow, SessionRow, UserRow
from storage.sqlite.connection import Params, as_struct, ask, listed
from storage.sqlite.readers import Readers
from storage.sqlite.transaction import Transaction
from storage.sqlite.writer import Writer

_T = TypeVar("_T", bound=msgspec.Struct)
_R = TypeVar("_R")

TABLES: dict[type[msgspec.Struct], str] = {
    UserRow: "users",
    DeviceRow: "devices",
    SessionRow: "sessions",
    InviteRow: "invites",
    PresenceRow: "presence",
}
AFTER_ALL = "\U0010ffff"


class SqliteAccounts:
    """Implements `storage.api.Accounts`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def add_user(
        self, user: UserRow, *, invite_hash: str | None = None, now_ms: int = 0
    ) -> Literal["ok", "taken", "no_invite"]:
        def add(tx: Transaction) -> Literal["ok", "taken", "no_invite"]:
            if tx.ask("SELECT 1 FROM users WHERE username = ?", (user.username,)):
                return "taken"
            new = user
            if invite_hash is not None:
                if tx.execute(USE_INVITE, (invite_hash, now_ms)) == 0:
                    return "no_invite"
                admin = tx.ask("SELECT admin FROM invites WHERE hash = ?", (invite_hash,))[0][0]
                new = msgspec.structs.replace(user, admin=user.admin or bool(admin))
            _put(tx, new)
            _put_words(tx, new)
            return "ok"

        return await self._write(add)

    async def user_by_name(self, username: str) -> UserRow | None:
        return _first(await self._find(UserRow, "WHERE username = ?", (username,)))

    async def users(self, user_ids: Collection[UserId]) -> dict[UserId, UserRow]:
        rows = await self._find(UserRow, AMONG, (listed(user_ids),))
        return {row.id: row for row in rows}

    async def search_users(
        self, query: str, *, among: Collection[UserId] | None, limit: int
    ) -> list[UserRow]:
        start = query.casefold()
        tail = "WHERE id IN (SELECT user_id FROM user_words WHERE word >= ?1 AND word < ?2)"
        params: list[Any] = [start, start + AFTER_ALL, limit]
        if among is not None:
            tail += " AND id IN (SELECT value FROM json_each(?4))"
            params.append(listed(among))
        return await self._find(UserRow, tail + " ORDER BY username LIMIT ?3", params)

    async def all_users(self, *, after: str | None = None, limit: int = 500) -> list[UserRow]:
        tail = "WHERE username > ? ORDER BY username LIMIT ?"
        return await self._find(UserRow, tail, (after or "", limit))

    async def update_user(self, user_id: UserId, changes: Mapping[str, Any]) -> UserRow | None:
        unknown = changes.keys() - (set(UserRow.__struct_fields__) - {"id", "username"})
        if unknown:
            raise ValueError(f"cannot change {sorted(unknown)} of a user")

        def update(tx: Transaction) -> UserRow | None:
            found = tx.ask(_select(UserRow, "WHERE id = ?"), (user_id,))
            if not found:
                return None
            row = as_struct(UserRow, found[0], UserRow.__struct_fields__)
            row = msgspec.structs.replace(row, **changes)
            _put(tx, row)
            _put_words(tx, row)
            return row

        return await self._write(update)

    async def count_users(self) -> int:
        rows = await self._ask("SELECT count(*) FROM users", ())
        return int(rows[0][0])

    async def put_device(self, device: DeviceRow) -> None:
        await self._write(lambda tx: _put(tx, device))

    async def devices(self, device_ids: Collection[DeviceId]) -> dict[DeviceId, DeviceRow]:
        rows = await self._find(DeviceRow, AMONG, (listed(device_ids),))
        return {row.id: row for row in rows}

    async def devices_of(self, user_id: UserId) -> list[DeviceRow]:
        tail = "WHERE user_id = ? ORDER BY created_at, id"
        return await self._find(DeviceRow, tail, (user_id,))

    async def add_session(self, session: SessionRow) -> None:
        await self._write(lambda tx: _put(tx, session))

    async def session(self, session_id: SessionId) -> SessionRow | None:
        return _first(await self._find(SessionRow, "WHERE id = ?", (session_id,)))

    async def sessions_of(self, user_id: UserId) -> list[SessionRow]:
        tail = "WHERE user_id = ? AND ended_at IS NULL ORDER BY created_at DESC, id DESC"
        return await self._find(SessionRow, tail, (user_id,))

    async def advance_session(
        self, session_id: SessionId, *, from_generation: int, now_ms: int, expires_at: int
    ) -> bool:
        sql = """UPDATE sessions SET generation = generation + 1, used_generation = ?2,
            last_used_at = max(last_used_at, ?3), expires_at = ?4
            WHERE id = ?1 AND generation = ?2 AND ended_at IS NULL"""
        params = (session_id, from_generation, now_ms, expires_at)
        return await self._write(lambda tx: tx.execute(sql, params) == 1)

    async def use_session(self, session_id: SessionId, *, generation: int, now_ms: int) -> None:
        sql = """UPDATE sessions SET used_generation = max(used_generation, ?),
            last_used_at = max(last_used_at, ?) WHERE id = ?"""
        await self._write(lambda tx: tx.execute(sql, (generation, now_ms, session_id)))

    async def end_sessions(
        self, session_ids: Collection[SessionId], now_ms: int
    ) -> list[SessionId]:
        sql = "UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at IS NULL"

        def end(tx: Transaction) -> list[SessionId]:
            return [i for i in dict.fromkeys(session_ids) if tx.execute(sql, (now_ms, i)) == 1]

        return await self._write(end)

    async def logged_out(self, *, since_ms: int, now_ms: int, limit: int) -> dict[UserId, int]:
        return dict(await self._ask(LOGGED_OUT, (since_ms, now_ms, limit)))

    async def put_recovery_codes(self, user_id: UserId, hashes: Sequence[str]) -> None:
        def put(tx: Transaction) -> None:
            tx.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user_id,))
            for code in set(hashes):
                tx.execute(PUT_CODE, (user_id, code))

        await self._write(put)

    async def use_recovery_code(self, user_id: UserId, hash: str) -> bool:
        sql = "DELETE FROM recovery_codes WHERE user_id = ? AND hash = ?"
        return await self._write(lambda tx: tx.execute(sql, (user_id, hash)) == 1)

    async def use_totp_step(self, user_id: UserId, step: int) -> bool:
        sql = """INSERT INTO totp_steps (user_id, step) VALUES (?, ?)
            ON CONFLICT (user_id) DO UPDATE SET step = excluded.step WHERE excluded.step > step"""
        return await self._write(lambda tx: tx.execute(sql, (user_id, step)) == 1)

    async def add_invite(self, invite: InviteRow) -> None:
        await self._write(lambda tx: _put(tx, invite))

    async def invites(self) -> list[InviteRow]:
        return await self._find(InviteRow, "ORDER BY created_at, hash", ())

    async def set_block(self, user_id: UserId, blocked_id: UserId, on: bool) -> None:
        put = "INSERT OR IGNORE INTO blocks (user_id, blocked_id) VALUES (?, ?)"
        drop = "DELETE FROM blocks WHERE user_id = ? AND blocked_id = ?"
        await self._write(lambda tx: tx.execute(put if on else drop, (user_id, blocked_id)))

    async def blocks_of(self, user_id: UserId) -> list[UserId]:
        sql = "SELECT blocked_id FROM blocks WHERE user_id = ? ORDER BY blocked_id"
        return [blocked for (blocked,) in await self._ask(sql, (user_id,))]

    async def blocked(self, by: UserId, user_id: UserId) -> bool:
        sql = "SELECT 1 FROM blocks WHERE user_id = ? AND blocked_id = ?"
        return bool(await self._ask(sql, (by, user_id)))

    async def presence(self, user_ids: Collection[UserId]) -> dict[UserId, PresenceRow]:
        tail = "WHERE user_id IN (SELECT value FROM json_each(?))"
        rows = await self._find(PresenceRow, tail, (listed(user_ids),))
        return {row.user_id: row for row in rows}

    async def put_presence(self, row: PresenceRow) -> None:
        await self._write(lambda tx: _put(tx, row))

    async def secret(self, name: str, fresh: bytes) -> bytes:
        def secret(tx: Transaction) -> bytes:
            tx.execute("INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", (name, fresh))
            found = tx.ask("SELECT hex(value) FROM secrets WHERE name = ?", (name,))
            return bytes.fromhex(found[0][0])

        return await self._write(secret)

    async def _write(self, job: Callable[[Transaction], _R]) -> _R:
        return await self._writer.submit(job)

    async def _ask(self, sql: str, params: Params) -> list[Any]:
        return await self._readers.run(lambda db: ask(db, sql, params))

    async def _find(self, kind: type[_T], tail: str, params: Params) -> list[_T]:
        rows = await self._ask(_select(kind, tail), params)
        return [as_struct(kind, row, kind.__struct_fields__) for row in rows]


AMONG = "WHERE id IN (SELECT value FROM json_each(?))"
PUT_CODE = "INSERT INTO recovery_codes (user_id, hash) VALUES (?, ?)"
USE_INVITE = """UPDATE invites SET uses_left = uses_left - 1
    WHERE hash = ? AND uses_left > 0 AND expires_at > ?"""
LOGGED_OUT = """SELECT user_id, max(ended_at) FROM sessions AS gone
    WHERE ended_at >= ?1 AND NOT EXISTS (SELECT 1 FROM sessions AS one
        WHERE one.user_id = gone.user_id AND one.ended_at IS NULL AND one.expires_at > ?2)
    GROUP BY user_id ORDER BY 2 DESC LIMIT ?3"""


def _select(kind: type[msgspec.Struct], tail: str) -> str:
    return f"SELECT {', '.join(kind.__struct_fields__)} FROM {TABLES[kind]} {tail}"


def _put(tx: Transaction, row: msgspec.Struct) -> None:
    fields = row.__struct_fields__
    marks = ", ".join("?" * len(fields))
    sql = f"INSERT OR REPLACE INTO {TABLES[type(row)]} ({', '.join(fields)}) VALUES ({marks})"
    tx.execute(sql, msgspec.structs.astuple(row))


def _put_words(tx: Transaction, user: UserRow) -> None:
    """What `search_users` finds him by: his user name, his display name and each word of it."""
    tx.execute("DELETE FROM user_words WHERE user_id = ?", (user.id,))
    words = {user.username, user.display_name, *user.display_name.split()}
    for word in {word.casefold() for word in words}:
        tx.execute("INSERT INTO user_words (word, user_id) VALUES (?, ?)", (word, user.id))


def _first(rows: Sequence[_T]) -> _T | None:
    return rows[0] if rows else None
