"""New accounts and the invitations they may need."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from crypto.tokens import code_hash
from server.accounts.hashing import PasswordWork
from server.accounts.keys import Keys
from server.accounts.limits import AttemptLimits
from server.accounts.sessions import Sessions
from server.accounts.shapes import USERNAME_PATTERN, Invite, IssuedInvite, Session, SignUp
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.errors import Conflict, Forbidden, Invalid
from server.kernel.events import Context
from server.kernel.ids import Ids, UserId
from server.kernel.logs import get_logger
from storage.api import Accounts, InviteRow, UserRow

log = get_logger(__name__)

_USERNAME = re.compile(USERNAME_PATTERN)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
FIRST_ADMIN_S = 10 * 365 * 86_400
"""The first administrator's link lives until it is used: it is printed again at each start."""


class SignUps:
    def __init__(
        self,
        store: Accounts,
        work: PasswordWork,
        keys: Keys,
        sessions: Sessions,
        *,
        config: Config,
        limits: AttemptLimits,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._work = work
        self._keys = keys
        self._sessions = sessions
        self._config = config
        self._limits = limits
        self._clock = clock
        self._ids = ids
        self.on_added: Callable[[UserId], None] = lambda user_id: None
        """Told of each new account."""

    async def sign_up(self, cmd: SignUp, peer: str) -> Session:
        """Raises Conflict (name taken), Forbidden (closed, invitation), RateLimited, Invalid."""
        self._check_open(cmd.invite)
        user = self.new_user(cmd.username, cmd.display_name, cmd.email)
        await self._limits.check_sign_up(peer)
        if await self._store.user_by_name(user.username) is not None:
            raise _taken()
        hashed = await self._work.hash(cmd.password)
        invite_hash = None if cmd.invite is None else code_hash(cmd.invite)
        stored = await self.store_user(user, hashed, invite_hash)
        return await self._sessions.open(stored)

    def new_user(self, username: str, display_name: str | None, email: str | None) -> UserRow:
        """The row of a new user without a password. Raises Invalid."""
        name = check_username(username)
        now = self._clock.now_ms()
        return UserRow(
            UserId(self._ids.new(now)), name, check_display_name(display_name or username),
            password_hash="", created_at=now, email=check_email(email),
        )  # fmt: skip

    async def store_user(
        self, user: UserRow, password_hash: str, invite_hash: str | None, *, admin: bool = False
    ) -> UserRow:
        row = UserRow(
            user.id, user.username, user.display_name, password_hash, user.created_at,
            email=user.email, admin=admin,
        )  # fmt: skip
        now = self._clock.now_ms()
        outcome = await self._store.add_user(row, invite_hash=invite_hash, now_ms=now)
        if outcome == "taken":
            raise _taken()
        if outcome == "no_invite":
            raise Forbidden(
                "This invitation is not valid (any more). Please ask for a new one.", field="invite"
            )
        log.info("user.added", user_id=row.id)
        self.on_added(row.id)
        return (await self._store.users([row.id]))[row.id]

    async def invite(
        self, by: Context, *, uses: int, expires_in_s: int, admin: bool
    ) -> IssuedInvite:
        check_admin(by)
        code = secrets.token_urlsafe(18)
        now = self._clock.now_ms()
        row = InviteRow(code_hash(code), now, now + expires_in_s * 1000, uses, admin)
        await self._store.add_invite(row)
        url = invite_link(self._config.server.public_url, code)
        return IssuedInvite(now, row.expires_at, uses, admin, code=code, url=url)

    async def invites(self, by: Context) -> list[Invite]:
        check_admin(by)
        rows = await self._store.invites()
        return [Invite(r.created_at, r.expires_at, r.uses_left, r.admin) for r in rows]

    async def first_admin_link(self, base_url: str) -> str | None:
        """The link that makes the first administrator, while there is no user; else None."""
        if self._config.registration == "closed" or await self._store.count_users() > 0:
            return None
        code = self._keys.first_admin_code
        hashed = code_hash(code)
        if all(row.hash != hashed for row in await self._store.invites()):
            now = self._clock.now_ms()
            expires_at = now + FIRST_ADMIN_S * 1000
            await self._store.add_invite(InviteRow(hashed, now, expires_at, 1, admin=True))
        return invite_link(base_url, code)

    def _check_open(self, invite: str | None) -> None:
        if self._config.registration == "closed":
            raise Forbidden("This server takes no new accounts.")
        if self._config.registration == "invite" and invite is None:
            raise Forbidden("You need an invitation to this server.", field="invite")


def invite_link(base_url: str, code: str) -> str:
    """The code stands in the fragment, which no server and no Referer ever sees."""
    return f"{base_url.rstrip('/')}/#invite={code}"


def check_username(text: str) -> str:
    """Lower case; 2..32 of a-z 0-9 _ . - Raises Invalid."""
    if _USERNAME.fullmatch(text) is None:
        raise Invalid("A user name is 2 to 32 of a-z, 0-9, _ . -", field="username")
    return text.lower()


def check_display_name(text: str) -> str:
    shown = text.strip()
    if not shown:
        raise Invalid("The display name must not be blank.", field="display_name")
    return shown


def check_email(text: str | None) -> str | None:
    if text is not None and _EMAIL.fullmatch(text) is None:
        raise Invalid("This is no e-mail address.", field="email")
    return text


def check_admin(by: Context) -> None:
    if not by.admin:
        raise Forbidden("Only an administrator of the server may do this.")


def _taken() -> Conflict:
    return Conflict("This user name is taken. Please choose another.", field="username")
