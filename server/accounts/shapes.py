"""What the account calls take and answer (PROTOCOL section 1, docs/protocol-accounts.md)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.kernel.ids import Id
from storage.api import DeviceRow, UserRow

USERNAME_PATTERN = "^[A-Za-z0-9_.-]{2,32}$"

Username = Annotated[
    str, Meta(min_length=2, max_length=32, pattern=USERNAME_PATTERN, description="any case")
]
Password = Annotated[str, Meta(min_length=8, max_length=256)]
TypedName = Annotated[str, Meta(min_length=1, max_length=256)]
"""At login any text will do: whether it could be a user name is not told apart."""
TypedPassword = Annotated[str, Meta(min_length=1, max_length=256)]
DisplayName = Annotated[str, Meta(min_length=1, max_length=200)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Code = Annotated[str, Meta(min_length=1, max_length=128)]


class _Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends."""


class SignUp(_Sent, frozen=True):
    username: Username
    password: Password
    display_name: DisplayName | None = None
    email: Email | None = None
    invite: Code | None = None


class LogIn(_Sent, frozen=True):
    username: TypedName
    password: TypedPassword
    device_id: Id | None = None
    device_name: Label | None = None
    platform: Label | None = None
    totp: Code | None = None


class LinkLogIn(_Sent, frozen=True):
    code: Code
    device_name: Label | None = None
    platform: Label | None = None


class Refresh(_Sent, frozen=True):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=1024)]


class PatchMe(_Sent, frozen=True):
    display_name: DisplayName | UnsetType = UNSET
    avatar_file_id: Id | UnsetType | None = UNSET


class ChangePassword(_Sent, frozen=True):
    old_password: TypedPassword
    new_password: Password


class Proof(_Sent, frozen=True):
    password: TypedPassword


class ConfirmTotp(_Sent, frozen=True):
    setup: Code
    code: Code


class DisableTotp(_Sent, frozen=True):
    password: TypedPassword
    totp: Code


class NewInvite(_Sent, frozen=True):
    uses: Annotated[int, Meta(ge=1, le=1000)] = 1
    expires_in_s: Annotated[int, Meta(ge=60, le=365 * 86_400)] = 7 * 86_400
    admin: bool = False


class UserQuery(_Sent, frozen=True):
    query: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    username: str
    display_name: str
    avatar_file_id: str | None = None


class Me(User, frozen=True, omit_defaults=True):
    email: str | None = None
    admin: bool = False
    totp: bool = False


class Device(msgspec.Struct, frozen=True):
    id: str
    name: str
    platform: str


class Session(msgspec.Struct, frozen=True):
    user: User
    device: Device
    session_id: str
    access_token: str
    refresh_token: str
    expires_in_s: int


class SessionItem(msgspec.Struct, frozen=True):
    id: str
    device: Device
    created_at: int
    last_used_at: int
    current: bool


class SessionList(msgspec.Struct, frozen=True):
    sessions: list[SessionItem]


class DeviceItem(Device, frozen=True):
    created_at: int
    current: bool


class DeviceList(msgspec.Struct, frozen=True):
    devices: list[DeviceItem]


class UserList(msgspec.Struct, frozen=True):
    users: list[User]


class TotpState(msgspec.Struct, frozen=True):
    enabled: bool


class TotpSetup(msgspec.Struct, frozen=True):
    setup: str
    secret: str
    uri: str
    expires_at: int


class RecoveryCodes(msgspec.Struct, frozen=True):
    recovery_codes: list[str]


class Invite(msgspec.Struct, frozen=True, omit_defaults=True):
    created_at: int
    expires_at: int
    uses_left: int
    admin: bool = False


class IssuedInvite(Invite, frozen=True, kw_only=True):
    code: str
    url: str


class InviteList(msgspec.Struct, frozen=True):
    invites: list[Invite]


class ServerLimits(msgspec.Struct, frozen=True):
    packet_bytes: int
    text_chars: int
    send_per_s: float
    send_burst: int
    signup_per_h: int
    connect_per_s: float
    file_bytes: int


class ServerInfo(msgspec.Struct, frozen=True):
    version: str
    features: list[str]
    limits: ServerLimits
    registration: Literal["open", "invite", "closed"]
    now: int


def show_user(row: UserRow) -> User:
    return User(row.id, row.username, row.display_name, row.avatar_file_id)


def show_me(row: UserRow) -> Me:
    return Me(
        row.id, row.username, row.display_name, row.avatar_file_id,
        email=row.email, admin=row.admin, totp=row.totp_secret is not None,
    )  # fmt: skip


def show_device(row: DeviceRow) -> Device:
    return Device(row.id, row.name, row.platform)
