"""Login sessions: opened, refreshed with rotating tokens, listed, ended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from crypto.tokens import BadToken, Claims
from server.accounts.authentication import Authenticator
from server.accounts.keys import Keys
from server.accounts.shapes import Session, SessionItem, show_device, show_user
from server.kernel.clock import Clock
from server.kernel.config import Accounts as Lifetimes
from server.kernel.errors import NotFound, Unauthorized
from server.kernel.events import Context
from server.kernel.ids import DeviceId, Ids, SessionId, UserId
from server.kernel.logs import get_logger
from storage.api import Accounts, DeviceRow, SessionRow, UserRow

log = get_logger(__name__)

LOG_IN_AGAIN = "Your session is over. Please log in again."


class SessionOutlet(Protocol):
    """The part of `server.kernel.outlet.Outlet` that is needed here."""

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None: ...


class Silent:
    """Where there are no sockets: the command line, tests."""

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        pass


class Sessions:
    """A session is a family of refresh tokens: generation g has one access and one refresh token.

    Only the generation is stored; the tokens are derived and signed by the server's keys.
    """

    def __init__(
        self,
        store: Accounts,
        keys: Keys,
        authenticator: Authenticator,
        *,
        clock: Clock,
        ids: Ids,
        lifetimes: Lifetimes,
        outlet: SessionOutlet,
    ) -> None:
        self._store = store
        self._keys = keys
        self._authenticator = authenticator
        self._clock = clock
        self._ids = ids
        self._lifetimes = lifetimes
        self.outlet = outlet
        self.on_ended: Callable[[Collection[SessionId]], None] = lambda session_ids: None
        """Told which sessions ended, once each."""

    async def open(
        self,
        user: UserRow,
        *,
        device_id: str | None = None,
        name: str | None = None,
        platform: str | None = None,
    ) -> Session:
        """A new session on the named device if it is the user's own, else on a new one."""
        now = self._clock.now_ms()
        device = await self._device(user.id, device_id, name, platform, now)
        row = SessionRow(
            SessionId(self._ids.new(now)), user.id, device.id, created_at=now, last_used_at=now,
            expires_at=now + self._lifetimes.refresh_token_s * 1000,
        )  # fmt: skip
        await self._store.add_session(row)
        log.info("session.opened", user_id=user.id, session_id=row.id, device_id=device.id)
        return self._show(user, device, row.id, 0)

    async def refresh(self, token: str) -> Session:
        """The successor's tokens.

        The same until one of them was presented; a token older than that ends the whole family.
        """
        try:
            text, generation = self._keys.refresh.read(token)
        except BadToken:
            raise Unauthorized(LOG_IN_AGAIN) from None
        session_id = SessionId(text)
        now = self._clock.now_ms()
        row = await self._live(session_id, now)
        if generation == row.generation:
            if not await self._store.advance_session(
                session_id, from_generation=generation, now_ms=now,
                expires_at=now + self._lifetimes.refresh_token_s * 1000,
            ):  # fmt: skip
                row = await self._live(session_id, now)
                self._check_unused(row, generation)
            return await self._answer(row, generation + 1)
        if generation > row.generation:
            raise Unauthorized(LOG_IN_AGAIN)
        if generation < row.generation - 1 or row.used_generation >= row.generation:
            await self.end([session_id], "reused")
            raise Unauthorized("This refresh token was used before. Please log in again.")
        return await self._answer(row, row.generation)

    async def list(self, by: Context) -> list[SessionItem]:
        now = self._clock.now_ms()
        rows = [r for r in await self._store.sessions_of(by.user_id) if r.expires_at > now]
        devices = await self._store.devices({row.device_id for row in rows})
        return [
            SessionItem(
                row.id, show_device(devices[row.device_id]), row.created_at, row.last_used_at,
                current=row.id == by.session_id,
            )
            for row in rows
        ]  # fmt: skip

    async def revoke(self, by: Context, wanted: str) -> None:
        """End one of the caller's own sessions, or `current`. Raises NotFound."""
        session_id = by.session_id if wanted == "current" else SessionId(wanted)
        row = await self._store.session(session_id)
        if row is None or row.user_id != by.user_id or row.ended_at is not None:
            raise NotFound("You have no such session.")
        await self.end([session_id], "revoked")

    async def end_all(
        self, user_id: UserId, reason: str, *, without: SessionId | None = None
    ) -> None:
        rows = await self._store.sessions_of(user_id)
        await self.end([row.id for row in rows if row.id != without], reason)

    async def end(self, session_ids: Collection[SessionId], reason: str) -> None:
        """From now on none of their tokens is taken; their sockets are told and closed."""
        ended = await self._store.end_sessions(session_ids, self._clock.now_ms())
        self._authenticator.forget(ended)
        if ended:
            self.outlet.end_sessions(ended, reason)
            self.on_ended(ended)
        for session_id in ended:
            log.info("session.ended", session_id=session_id, reason=reason)

    async def _live(self, session_id: SessionId, now: int) -> SessionRow:
        row = await self._store.session(session_id)
        if row is None or not row.is_open(now):
            raise Unauthorized(LOG_IN_AGAIN)
        return row

    @staticmethod
    def _check_unused(row: SessionRow, generation: int) -> None:
        """Two refreshes at once by the same token: the loser answers what the winner did."""
        if row.generation != generation + 1 or row.used_generation > generation:
            raise Unauthorized(LOG_IN_AGAIN)

    async def _answer(self, row: SessionRow, generation: int) -> Session:
        user = (await self._store.users([row.user_id])).get(row.user_id)
        device = (await self._store.devices([row.device_id])).get(row.device_id)
        if user is None or device is None or user.disabled:
            raise Unauthorized(LOG_IN_AGAIN)
        return self._show(user, device, row.id, generation)

    async def _device(
        self, user_id: UserId, wanted: str | None, name: str | None, platform: str | None, now: int
    ) -> DeviceRow:
        if wanted is not None:
            found = (await self._store.devices([DeviceId(wanted)])).get(DeviceId(wanted))
            if found is not None and found.user_id == user_id:
                device = DeviceRow(
                    found.id, user_id, name or found.name, platform or found.platform,
                    found.created_at,
                )  # fmt: skip
                if device != found:
                    await self._store.put_device(device)
                return device
        made = DeviceRow(
            DeviceId(self._ids.new(now)), user_id, name or "Device", platform or "unknown", now
        )
        await self._store.put_device(made)
        return made

    def _show(
        self, user: UserRow, device: DeviceRow, session_id: SessionId, generation: int
    ) -> Session:
        lifetime = self._lifetimes.access_token_s
        claims = Claims(
            user.id, device.id, session_id, generation,
            self._clock.now_ms() // 1000 + lifetime, user.admin,
        )  # fmt: skip
        return Session(
            show_user(user), show_device(device), session_id, self._keys.access.sign(claims),
            self._keys.refresh.derive(session_id, generation), lifetime,
        )  # fmt: skip
