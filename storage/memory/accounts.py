"""Accounts in dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import DeviceRow, InviteRow, PresenceRow, SessionRow, UserRow
from storage.memory.gate import Gate

_set = msgspec.structs.replace


class MemoryAccounts:
    """Implements `storage.api.Accounts`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._users: dict[UserId, UserRow] = {}
        self._names: dict[str, UserId] = {}
        self._devices: dict[DeviceId, DeviceRow] = {}
        self._sessions: dict[SessionId, SessionRow] = {}
        self._recovery: dict[UserId, set[str]] = {}
        self._totp_steps: dict[UserId, int] = {}
        self._invites: dict[str, InviteRow] = {}
        self._blocks: set[tuple[UserId, UserId]] = set()
        self._presence: dict[UserId, PresenceRow] = {}
        self._secrets: dict[str, bytes] = {}

    async def add_user(
        self, user: UserRow, *, invite_hash: str | None = None, now_ms: int = 0
    ) -> Literal["ok", "taken", "no_invite"]:
        self._gate.check()
        if user.username in self._names:
            return "taken"
        if invite_hash is not None:
            invite = self._invites.get(invite_hash)
            if invite is None or invite.uses_left <= 0 or invite.expires_at <= now_ms:
                return "no_invite"
            self._invites[invite_hash] = _set(invite, uses_left=invite.uses_left - 1)
            user = _set(user, admin=user.admin or invite.admin)
        self._users[user.id] = user
        self._names[user.username] = user.id
        return "ok"

    async def user_by_name(self, username: str) -> UserRow | None:
        self._gate.check()
        return self._users[self._names[username]] if username in self._names else None

    async def users(self, user_ids: Collection[UserId]) -> dict[UserId, UserRow]:
        self._gate.check()
        return {i: self._users[i] for i in user_ids if i in self._users}

    async def search_users(
        self, query: str, *, among: Collection[UserId] | None, limit: int
    ) -> list[UserRow]:
        self._gate.check()
        wanted = set(self._users if among is None else among)
        matches = name_matcher(query)
        return [row for row in self._by_name() if row.id in wanted and matches(row)][:limit]

    async def all_users(self, *, after: str | None = None, limit: int = 500) -> list[UserRow]:
        self._gate.check()
        return [row for row in self._by_name() if after is None or row.username > after][:limit]

    async def update_user(self, user_id: UserId, changes: Mapping[str, Any]) -> UserRow | None:
        self._gate.check()
        check_user_changes(changes)
        if user_id not in self._users:
            return None
        self._users[user_id] = _set(self._users[user_id], **changes)
        return self._users[user_id]

    async def count_users(self) -> int:
        self._gate.check()
        return len(self._users)

    async def put_device(self, device: DeviceRow) -> None:
        self._gate.check()
        self._devices[device.id] = device

    async def devices(self, device_ids: Collection[DeviceId]) -> dict[DeviceId, DeviceRow]:
        self._gate.check()
        return {i: self._devices[i] for i in device_ids if i in self._devices}

    async def devices_of(self, user_id: UserId) -> list[DeviceRow]:
        self._gate.check()
        rows = [row for row in self._devices.values() if row.user_id == user_id]
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    async def add_session(self, session: SessionRow) -> None:
        self._gate.check()
        self._sessions[session.id] = session

    async def session(self, session_id: SessionId) -> SessionRow | None:
        self._gate.check()
        return self._sessions.get(session_id)

    async def sessions_of(self, user_id: UserId) -> list[SessionRow]:
        self._gate.check()
        rows = [r for r in self._sessions.values() if r.user_id == user_id and r.ended_at is None]
        return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)

    async def advance_session(
        self, session_id: SessionId, *, from_generation: int, now_ms: int, expires_at: int
    ) -> bool:
        self._gate.check()
        row = self._sessions.get(session_id)
        if row is None or row.ended_at is not None or row.generation != from_generation:
            return False
        self._sessions[session_id] = _set(
            row,
            generation=from_generation + 1,
            used_generation=from_generation,
            last_used_at=max(row.last_used_at, now_ms),
            expires_at=expires_at,
        )
        return True

    async def use_session(self, session_id: SessionId, *, generation: int, now_ms: int) -> None:
        self._gate.check()
        row = self._sessions.get(session_id)
        if row is not None:
            self._sessions[session_id] = _set(
                row,
                used_generation=max(row.used_generation, generation),
                last_used_at=max(row.last_used_at, now_ms),
            )

    async def end_sessions(
        self, session_ids: Collection[SessionId], now_ms: int
    ) -> list[SessionId]:
        self._gate.check()
        ended = []
        for session_id in dict.fromkeys(session_ids):
            row = self._sessions.get(session_id)
            if row is not None and row.ended_at is None:
                self._sessions[session_id] = _set(row, ended_at=now_ms)
                ended.append(session_id)
        return ended

    async def logged_out(self, *, since_ms: int, now_ms: int, limit: int) -> dict[UserId, int]:
        self._gate.check()
        rows = self._sessions.values()
        there = {row.user_id for row in rows if row.is_open(now_ms)}
        ended = [
            (row.ended_at, row.user_id)
            for row in rows
            if row.ended_at is not None and row.ended_at >= since_ms and row.user_id not in there
        ]
        newest = {user_id: at for at, user_id in sorted(ended)}
        return dict(sorted(newest.items(), key=lambda item: item[1], reverse=True)[:limit])

    async def put_recovery_codes(self, user_id: UserId, hashes: Sequence[str]) -> None:
        self._gate.check()
        self._recovery[user_id] = set(hashes)

    async def use_recovery_code(self, user_id: UserId, hash: str) -> bool:
        self._gate.check()
        there = hash in self._recovery.get(user_id, ())
        if there:
            self._recovery[user_id].discard(hash)
        return there

    async def use_totp_step(self, user_id: UserId, step: int) -> bool:
        self._gate.check()
        if step <= self._totp_steps.get(user_id, -1):
            return False
        self._totp_steps[user_id] = step
        return True

    async def add_invite(self, invite: InviteRow) -> None:
        self._gate.check()
        self._invites[invite.hash] = invite

    async def invites(self) -> list[InviteRow]:
        self._gate.check()
        return sorted(self._invites.values(), key=lambda row: (row.created_at, row.hash))

    async def set_block(self, user_id: UserId, blocked_id: UserId, on: bool) -> None:
        self._gate.check()
        (self._blocks.add if on else self._blocks.discard)((user_id, blocked_id))

    async def blocks_of(self, user_id: UserId) -> list[UserId]:
        self._gate.check()
        return sorted(blocked for by, blocked in self._blocks if by == user_id)

    async def blocked(self, by: UserId, user_id: UserId) -> bool:
        self._gate.check()
        return (by, user_id) in self._blocks

    async def presence(self, user_ids: Collection[UserId]) -> dict[UserId, PresenceRow]:
        self._gate.check()
        return {i: self._presence[i] for i in user_ids if i in self._presence}

    async def put_presence(self, row: PresenceRow) -> None:
        self._gate.check()
        self._presence[row.user_id] = row

    async def secret(self, name: str, fresh: bytes) -> bytes:
        self._gate.check()
        return self._secrets.setdefault(name, fresh)

    def _by_name(self) -> list[UserRow]:
        return [self._users[self._names[name]] for name in sorted(self._names)]


def name_matcher(query: str) -> Callable[[UserRow], bool]:
    """Whether the query begins the user name or a word of the display name, in any case."""
    start = query.casefold()

    def matches(row: UserRow) -> bool:
        words = (row.username, row.display_name, *row.display_name.split())
        return any(word.casefold().startswith(start) for word in words)

    return matches


def check_user_changes(changes: Mapping[str, Any]) -> None:
    """Only columns of UserRow that may change. Raises ValueError."""
    unknown = changes.keys() - (set(UserRow.__struct_fields__) - {"id", "username"})
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)} of a user")
