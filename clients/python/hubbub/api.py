"""HTTP calls with a session that refreshes itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from hubbub.errors import HubbubError, LineBroken, RateLimited, Unauthorized, error_from
from hubbub.models import Session

T = TypeVar("T")

REFRESH_BEFORE_S = 60.0
"""An access token this close to its end is renewed first."""

_STATUS = {
    400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict",
    413: "too_large", 429: "rate_limited", 503: "unavailable",
}  # fmt: skip


class Api:
    """Calls below `url`, e.g. `await api.call("GET", "/rooms", answer=dict)`.

    Raises HubbubError: `LineBroken` when no answer came. A `rate_limited` GET waits and tries again
    for at most `patience_s`.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        on_session: Callable[[Session | None], None] = lambda _session: None,
        timeout_s: float = 30.0,
        patience_s: float = 60.0,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/") + "/api/v1"
        self._on_session = on_session
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._patience_s = patience_s
        self._session: Session | None = None
        self._expires_at = 0.0
        self._refreshing = asyncio.Lock()

    @property
    def session(self) -> Session | None:
        return self._session

    def resume(self, session: Session) -> None:
        """Take over a session kept from earlier; its access token is renewed before its first use,
        because nobody knows how old it is."""
        self._session = session
        self._expires_at = 0.0

    def start(self, session: Session | None) -> None:
        self._session = session
        if session is not None:
            self._expires_at = time.monotonic() + session.expires_in_s
        self._on_session(session)

    async def token(self, *, stale: str | None = None) -> str:
        """A fresh access token. `stale`: the one that was just refused, so renew if still ours."""
        async with self._refreshing:
            session = self._session
            if session is None:
                raise Unauthorized("Log in first.")
            close = self._expires_at - time.monotonic() < min(
                REFRESH_BEFORE_S, session.expires_in_s / 2
            )
            if close or session.access_token == stale:
                session = await self._refresh(session)
            return session.access_token

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        answer: type[T],
        login: bool = True,
    ) -> T:
        deadline = time.monotonic() + self._patience_s
        token = await self.token() if login else None
        while True:
            try:
                raw = await self._once(method, path, body, query, token)
                return msgspec.json.decode(raw or b"null", type=answer)
            except Unauthorized:
                fresh = await self.token(stale=token) if login else token
                if fresh == token:
                    raise
                token = fresh
            except RateLimited as error:
                pause = error.retry_after_s or 1.0
                if method != "GET" or time.monotonic() + pause > deadline:
                    raise
                await asyncio.sleep(pause)

    async def _refresh(self, session: Session) -> Session:
        try:
            raw = await self._once(
                "POST", "/sessions/refresh", {"refresh_token": session.refresh_token}, None, None
            )
        except Unauthorized:
            self.start(None)
            raise
        self.start(msgspec.json.decode(raw, type=Session))
        assert self._session is not None
        return self._session

    async def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str | int] | None,
        token: str | None,
    ) -> bytes:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        try:
            async with self._http.request(
                method, self._url + path, params=query, data=data, headers=headers,
                timeout=self._timeout,
            ) as response:  # fmt: skip
                raw = await response.read()
                if response.status < 400:
                    return raw
                raise _refusal(response.status, raw, response.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LineBroken(f"{method} {path}: {type(error).__name__}") from error


def _refusal(status: int, raw: bytes, retry_after: str | None) -> HubbubError:
    try:
        wire = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError:
        wire = {}
    wire.setdefault("code", _STATUS.get(status, "internal"))
    if retry_after is not None and retry_after.isdigit():
        wire.setdefault("retry_after_s", float(retry_after))
    return error_from(wire)
