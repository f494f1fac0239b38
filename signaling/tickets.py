"""Where clients find STUN and TURN, and what lets them in for a while."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from server.kernel.ids import UserId
from server.kernel.logs import Secret
from signaling.ports import UrlSource

SECRET_NAME = "turn"
SECRET_BYTES = 32
TICKET_S = 86_400


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`RTCIceServer` of the W3C."""

    urls: tuple[str, ...]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Urls:
    """A `UrlSource` that does not change."""

    urls: tuple[str, ...] = ()

    def now(self) -> tuple[str, ...]:
        return self.urls

    async def known(self) -> bool:
        return True


class Tickets:
    """Makes `ice_servers` for a user.

    The password is what a TURN server that shares `secret` computes too: base64 (RFC 4648, section
    4) of HMAC-SHA1 over the username, which is `expiry:user_id`, expiry in seconds since the epoch.

    Args:
        secret: a text, as TURN servers have it in their configuration; its UTF-8 is the key.
        urls: where they are now.
        issued: is told each username.
        ttl_s: longer than calls are: an allocation is refreshed with the ticket it was made with.

    Source: draft-uberti-behave-turn-rest-00, section 2.2.
    """

    def __init__(
        self, secret: Secret, urls: UrlSource, *, issued: Callable[[str], None] | None = None,
        ttl_s: int = TICKET_S,
    ) -> None:  # fmt: skip
        self._secret = secret
        self._urls = urls
        self._issued = issued
        self._ttl_s = ttl_s

    async def ready(self) -> None:
        """Returns once it is known where the servers are, or a few seconds later all the same."""
        await self._urls.known()

    def ice_servers(self, user_id: UserId, now_ms: int) -> tuple[IceServer, ...]:
        urls = self._urls.now()
        stun = tuple(url for url in urls if url.startswith("stun"))
        turn = tuple(url for url in urls if url.startswith("turn"))
        servers = [IceServer(stun)] if stun else []
        if turn:
            username = f"{now_ms // 1000 + self._ttl_s}:{user_id}"
            servers.append(IceServer(turn, username, password(self._secret, username)))
            if self._issued is not None:
                self._issued(username)
        return tuple(servers)


def password(secret: Secret, username: str) -> str:
    digest = hmac.digest(secret.reveal().encode(), username.encode(), hashlib.sha1)
    return base64.b64encode(digest).decode()
