"""The second factor: time-based codes, and recovery codes for the day the telephone is lost."""

from __future__ import annotations

import os
from collections.abc import Callable

from crypto import base64url, one_time_passwords
from server.accounts.keys import Keys
from server.accounts.shapes import TotpSetup
from server.kernel.clock import Clock
from server.kernel.errors import Conflict, Invalid
from storage.api import Accounts, UserRow

SETUP_S = 900
"""How long a set-up may take from the QR code to the first code."""
ISSUER = "Hubbub"


class SecondFactor:
    """Nothing is stored before the first right code: a key derives the secret from `setup`."""

    def __init__(
        self,
        store: Accounts,
        keys: Keys,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._random = random_bytes

    def begin(self, user: UserRow) -> TotpSetup:
        if user.totp_secret is not None:
            raise Conflict("A second factor is set up already. Disable it first.")
        ends_s = self._clock.now_ms() // 1000 + SETUP_S
        setup = f"{ends_s}.{base64url.encode(self._random(16)).decode('ascii')}"
        secret = one_time_passwords.as_secret(self._keys.totp_secret(user.id, setup))
        uri = one_time_passwords.provisioning_uri(secret, user.username, ISSUER)
        return TotpSetup(setup, secret, uri, ends_s * 1000)

    async def confirm(self, user: UserRow, setup: str, code: str) -> list[str]:
        """Turns it on by the first right code. Returns the recovery codes, shown this once."""
        if user.totp_secret is not None:
            raise Conflict("A second factor is set up already. Disable it first.")
        ends, _, _ = setup.partition(".")
        now_s = self._clock.now_ms() / 1000
        if not ends.isdecimal() or not ends.isascii() or not 0 <= int(ends) - now_s <= SETUP_S:
            raise Invalid("This set-up is over. Please begin again.", field="setup")
        secret = one_time_passwords.as_secret(self._keys.totp_secret(user.id, setup))
        step = one_time_passwords.matching_step(secret, code, now_s)
        if step is None or not await self._store.use_totp_step(user.id, step):
            raise Invalid("This code is wrong. Is the clock of your device right?", field="code")
        codes = one_time_passwords.new_recovery_codes(self._random)
        await self._store.put_recovery_codes(user.id, [self._hash(user, code) for code in codes])
        await self._store.update_user(user.id, {"totp_secret": secret})
        return codes

    async def disable(self, user: UserRow) -> None:
        await self._store.update_user(user.id, {"totp_secret": None})
        await self._store.put_recovery_codes(user.id, [])

    async def accepts(self, user: UserRow, code: str) -> bool:
        """A current code or a recovery code; each works once."""
        if user.totp_secret is None:
            return False
        typed = code.strip()
        now_s = self._clock.now_ms() / 1000
        step = one_time_passwords.matching_step(user.totp_secret, typed, now_s)
        if step is not None:
            return await self._store.use_totp_step(user.id, step)
        return await self._store.use_recovery_code(user.id, self._hash(user, typed))

    def _hash(self, user: UserRow, code: str) -> str:
        return self._keys.recovery_hash(user.id, one_time_passwords.canonical_recovery_code(code))
