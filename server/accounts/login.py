"""Logging in: by password and second factor, or by a one-time link."""

from __future__ import annotations

from crypto import passwords
from server.accounts.hashing import PasswordWork
from server.accounts.limits import AttemptLimits
from server.accounts.links import LoginLinks
from server.accounts.second_factor import SecondFactor
from server.accounts.sessions import Sessions
from server.accounts.shapes import LinkLogIn, LogIn, Session
from server.kernel.errors import Forbidden, Unauthorized
from server.kernel.events import Context
from server.kernel.ids import UserId
from storage.api import Accounts, UserRow


class Login:
    """Tells by no answer, and by no amount of work, whether a user name exists."""

    def __init__(
        self,
        store: Accounts,
        work: PasswordWork,
        *,
        limits: AttemptLimits,
        second_factor: SecondFactor,
        sessions: Sessions,
        links: LoginLinks,
    ) -> None:
        self._store = store
        self._work = work
        self._limits = limits
        self._second_factor = second_factor
        self._sessions = sessions
        self._links = links

    async def log_in(self, cmd: LogIn, peer: str) -> Session:
        """Raises Unauthorized (the same for a wrong name and a wrong password), RateLimited."""
        name = cmd.username.lower()

        def allowed() -> None:
            self._limits.check_failures_here(peer=peer, name=name)

        await self._limits.check_failures(peer=peer, name=name)
        user = await self._store.user_by_name(name)
        stored = None if user is None or user.disabled else user.password_hash
        matches = await self._work.verify(stored, cmd.password, allowed=allowed)
        if user is None or not matches:
            await self._limits.failed(peer=peer, name=name)
            raise Unauthorized("The user name or the password is wrong.")
        if user.totp_secret is not None:
            await self._check_second_factor(user, cmd.totp, peer)
        await self._renew_hash(user, cmd.password)
        return await self._sessions.open(
            user, device_id=cmd.device_id, name=cmd.device_name, platform=cmd.platform
        )

    async def by_link(self, cmd: LinkLogIn, peer: str) -> Session:
        """Raises Unauthorized: the code is wrong, over or used up."""
        await self._limits.check_failures(peer=peer)
        user_id = self._links.redeem(cmd.code)
        user = None if user_id is None else (await self._store.users([user_id])).get(user_id)
        if user is None or user.disabled:
            await self._limits.failed(peer=peer)
            raise Unauthorized("This login link is not valid (any more). Please ask for a new one.")
        return await self._sessions.open(user, name=cmd.device_name, platform=cmd.platform)

    async def check_password(self, user_id: UserId, password: str, field: str) -> UserRow:
        """The logged-in user proves himself once more. Raises Forbidden with `field`."""
        user = (await self._store.users([user_id])).get(user_id)
        if user is None:
            raise Unauthorized("Your account is gone.")

        def allowed() -> None:
            self._limits.check_failures_here(name=user.username)

        await self._limits.check_failures(name=user.username)
        if not await self._work.verify(user.password_hash, password, allowed=allowed):
            await self._limits.failed(name=user.username)
            raise Forbidden("The password is wrong.", field=field)
        return user

    async def change_password(self, by: Context, old: str, new: str) -> None:
        """Every other session of the user ends with `password_changed`."""
        await self.check_password(by.user_id, old, "old_password")
        await self._store.update_user(by.user_id, {"password_hash": await self._work.hash(new)})
        await self._sessions.end_all(by.user_id, "password_changed", without=by.session_id)

    async def disable_second_factor(self, user: UserRow, code: str) -> None:
        """Raises Forbidden: the code is wrong or was used; it counts as a failed login."""
        await self._limits.check_failures(name=user.username)
        if not await self._second_factor.accepts(user, code):
            await self._limits.failed(name=user.username)
            raise Forbidden("This code is wrong or was used before.", field="totp")
        await self._second_factor.disable(user)

    async def _check_second_factor(self, user: UserRow, code: str | None, peer: str) -> None:
        await self._limits.check_failures(peer=peer, name=user.username)
        if code is None:
            raise Unauthorized("Please enter the code of your second factor.", field="totp")
        if not await self._second_factor.accepts(user, code):
            await self._limits.failed(peer=peer, name=user.username)
            raise Unauthorized("This code is wrong or was used before.", field="totp")

    async def _renew_hash(self, user: UserRow, password: str) -> None:
        if passwords.needs_rehash(user.password_hash):
            fresh = await self._work.hash(password)
            await self._store.update_user(user.id, {"password_hash": fresh})
