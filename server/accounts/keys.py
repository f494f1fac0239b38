"""The server's own keys for accounts: made once, kept by the store, never shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from crypto import base64url
from crypto.tokens import KEY_BYTES, AccessTokens, RefreshTokens, keyed_digest
from storage.api import Accounts

ACCESS_SEED = "accounts.access.1"
REFRESH_KEY = "accounts.refresh.1"
CODE_KEY = "accounts.codes.1"
FIRST_ADMIN = "accounts.first-admin.1"


@dataclass(frozen=True)
class Keys:
    """`code_key` derives TOTP secrets and hashes recovery codes."""

    access: AccessTokens
    refresh: RefreshTokens
    code_key: bytes
    first_admin_code: str

    def recovery_hash(self, user_id: str, code: str) -> str:
        message = f"{user_id}.{code}".encode()
        return keyed_digest(self.code_key, b"recovery", message).hex()

    def totp_secret(self, user_id: str, setup: str) -> bytes:
        return keyed_digest(self.code_key, b"totp", f"{user_id}.{setup}".encode())


async def load_keys(store: Accounts, random_bytes: Callable[[int], bytes] = os.urandom) -> Keys:
    """The keys of this data folder; made now if it has none."""
    seed = await store.secret(ACCESS_SEED, random_bytes(KEY_BYTES))
    refresh = await store.secret(REFRESH_KEY, random_bytes(KEY_BYTES))
    codes = await store.secret(CODE_KEY, random_bytes(KEY_BYTES))
    first = await store.secret(FIRST_ADMIN, random_bytes(24))
    return Keys(
        AccessTokens([seed]), RefreshTokens(refresh), codes, base64url.encode(first).decode("ascii")
    )
