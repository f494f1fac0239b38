"""Users, devices, login sessions, invitations, blocks, presence settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from server.kernel.ids import DeviceId, SessionId, UserId


class UserRow(msgspec.Struct, frozen=True):
    id: UserId
    username: str
    display_name: str
    password_hash: str
    created_at: int
    email: str | None = None
    admin: bool = False
    disabled: bool = False
    avatar_file_id: str | None = None
    totp_secret: str | None = None
    """Base32; set only once confirmed."""


class DeviceRow(msgspec.Struct, frozen=True):
    id: DeviceId
    user_id: UserId
    name: str
    platform: str
    created_at: int


class SessionRow(msgspec.Struct, frozen=True):
    """`generation` counts refreshes; `used_generation` is the newest one whose tokens were
    presented.
    """

    id: SessionId
    user_id: UserId
    device_id: DeviceId
    created_at: int
    last_used_at: int
    expires_at: int
    generation: int = 0
    used_generation: int = 0
    ended_at: int | None = None

    def is_open(self, now_ms: int) -> bool:
        return self.ended_at is None and self.expires_at > now_ms


class InviteRow(msgspec.Struct, frozen=True):
    """`hash`: sha256 hex of the invitation code. `admin`: makes an administrator."""

    hash: str
    created_at: int
    expires_at: int
    uses_left: int
    admin: bool = False


class PresenceRow(msgspec.Struct, frozen=True):
    user_id: UserId
    status: Literal["online", "away", "busy", "invisible"] = "online"
    text: str | None = None
    last_seen_at: int | None = None


class Accounts(Protocol):
    """Users, devices, login sessions, invitations, blocks, presence settings, secrets of the
    server.
    """

    async def add_user(
        self, user: UserRow, *, invite_hash: str | None = None, now_ms: int = 0
    ) -> Literal["ok", "taken", "no_invite"]:
        """At once: the name is free, and the invitation (if given) has a use left, which is taken.
        `user.admin` is or-ed with the invitation's."""
        ...

    async def user_by_name(self, username: str) -> UserRow | None: ...

    async def users(self, user_ids: Collection[UserId]) -> dict[UserId, UserRow]: ...

    async def search_users(
        self, query: str, *, among: Collection[UserId] | None, limit: int
    ) -> list[UserRow]:
        """By prefix of the user name or of a word of the display name, case-insensitive, by user
        name.
        """
        ...

    async def all_users(self, *, after: str | None = None, limit: int = 500) -> list[UserRow]:
        """By user name."""
        ...

    async def update_user(self, user_id: UserId, changes: Mapping[str, Any]) -> UserRow | None:
        """Set the named columns of UserRow (never id or username)."""
        ...

    async def count_users(self) -> int: ...

    async def put_device(self, device: DeviceRow) -> None: ...

    async def devices(self, device_ids: Collection[DeviceId]) -> dict[DeviceId, DeviceRow]: ...

    async def devices_of(self, user_id: UserId) -> list[DeviceRow]: ...

    async def add_session(self, session: SessionRow) -> None: ...

    async def session(self, session_id: SessionId) -> SessionRow | None: ...

    async def sessions_of(self, user_id: UserId) -> list[SessionRow]:
        """Those not ended, newest first."""
        ...

    async def advance_session(
        self, session_id: SessionId, *, from_generation: int, now_ms: int, expires_at: int
    ) -> bool:
        """generation from -> from+1, used_generation = from. False if it was not at
        `from_generation` or is ended.
        """
        ...

    async def use_session(self, session_id: SessionId, *, generation: int, now_ms: int) -> None:
        """Note that a token of `generation` was presented (a maximum), and last_used_at."""
        ...

    async def end_sessions(
        self, session_ids: Collection[SessionId], now_ms: int
    ) -> list[SessionId]:
        """Returns those that were still open."""
        ...

    async def logged_out(self, *, since_ms: int, now_ms: int, limit: int) -> dict[UserId, int]:
        """Who has no session any more that is neither ended nor past `expires_at`, and when his
        last one was ended, at `since_ms` or later. The last `limit` of them.
        """
        ...

    async def put_recovery_codes(self, user_id: UserId, hashes: Sequence[str]) -> None:
        """Replaces all."""
        ...

    async def use_recovery_code(self, user_id: UserId, hash: str) -> bool: ...

    async def use_totp_step(self, user_id: UserId, step: int) -> bool:
        """True once for a 30 s step newer than any used before: works once (RFC 6238, 5.2)."""
        ...

    async def add_invite(self, invite: InviteRow) -> None: ...

    async def invites(self) -> list[InviteRow]: ...

    async def set_block(self, user_id: UserId, blocked_id: UserId, on: bool) -> None: ...

    async def blocks_of(self, user_id: UserId) -> list[UserId]: ...

    async def blocked(self, by: UserId, user_id: UserId) -> bool: ...

    async def presence(self, user_ids: Collection[UserId]) -> dict[UserId, PresenceRow]: ...

    async def put_presence(self, row: PresenceRow) -> None: ...

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """The server's own secret of that name; `fresh` becomes it if there was none."""
        ...
