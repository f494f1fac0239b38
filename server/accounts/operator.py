"""What the operator does from the command line, without being logged in."""

from __future__ import annotations

from crypto import passwords
from server.accounts.hashing import PasswordWork
from server.accounts.links import LoginLinks
from server.accounts.sessions import Sessions
from server.accounts.shapes import Session
from server.accounts.signup import SignUps, check_username
from server.kernel.errors import Invalid, NotFound
from storage.api import Accounts, UserRow


class Operator:
    def __init__(
        self,
        store: Accounts,
        work: PasswordWork,
        *,
        sign_ups: SignUps,
        sessions: Sessions,
        links: LoginLinks,
    ) -> None:
        self._store = store
        self._work = work
        self._sign_ups = sign_ups
        self._sessions = sessions
        self._links = links

    async def user(self, username: str) -> UserRow:
        found = await self._store.user_by_name(check_username(username))
        if found is None:
            raise NotFound("There is no such user.")
        return found

    async def create_user(
        self,
        username: str,
        password: str | None = None,
        *,
        display_name: str | None = None,
        admin: bool = False,
    ) -> UserRow:
        """Without a password only links and tokens log in. Raises Conflict, Invalid."""
        user = self._sign_ups.new_user(username, display_name, None)
        hashed = passwords.UNUSABLE if password is None else await self._hash(password)
        return await self._sign_ups.store_user(user, hashed, None, admin=admin)

    async def ensure_user(self, username: str, *, display_name: str | None = None) -> UserRow:
        """The user of that name, made now if there is none."""
        found = await self._store.user_by_name(check_username(username))
        return found or await self.create_user(username, display_name=display_name)

    async def set_password(self, username: str, password: str) -> None:
        """Ends all of the user's sessions."""
        user = await self.user(username)
        await self._store.update_user(user.id, {"password_hash": await self._hash(password)})
        await self._sessions.end_all(user.id, "password_changed")

    async def set_admin(self, username: str, admin: bool = True) -> None:
        """Who is one no more is logged out: his tokens say otherwise."""
        user = await self.user(username)
        await self._store.update_user(user.id, {"admin": admin})
        if user.admin and not admin:
            await self._sessions.end_all(user.id, "revoked")

    async def set_disabled(self, username: str, disabled: bool = True) -> None:
        user = await self.user(username)
        await self._store.update_user(user.id, {"disabled": disabled})
        if disabled:
            await self._sessions.end_all(user.id, "revoked")

    async def reset_second_factor(self, username: str) -> None:
        user = await self.user(username)
        await self._store.update_user(user.id, {"totp_secret": None})
        await self._store.put_recovery_codes(user.id, [])

    async def mint(self, username: str, *, device_name: str = "token") -> Session:
        """A session for the user, as if he had logged in."""
        user = await self.user(username)
        return await self._sessions.open(user, name=device_name, platform="cli")

    async def login_link(
        self, base_url: str, username: str, *, uses: int = 1, lifetime_s: float = 86_400.0
    ) -> str:
        """A link that logs in as the user, `uses` times; only in the process that serves."""
        user = await self.user(username)
        code = self._links.issue(user.id, uses=uses, lifetime_s=lifetime_s)
        return f"{base_url.rstrip('/')}/#login={code}"

    async def _hash(self, password: str) -> str:
        if not 8 <= len(password) <= 256:
            raise Invalid("A password has 8 to 256 characters.", field="password")
        return await self._work.hash(password)
