"""Who calls and how often: peer address, bearer token, request rates, allowed origins."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from aiohttp import web

from server.kernel.clock import Clock
from server.kernel.config import Config, is_loopback
from server.kernel.errors import RateLimited, Unauthorized
from server.kernel.events import Context
from server.kernel.limits import Buckets
from server.kernel.peer import TrustedProxies, limit_key, peer_address

Authenticate = Callable[[str], Context | Awaitable[Context]]

PREFLIGHT_S = "600"
EXPOSED = "Retry-After, Location, ETag, Upload-Offset, Upload-Length, Upload-Expires, Tus-Resumable"
ASKED = (
    "Authorization, Content-Type, Range, Tus-Resumable, Upload-Length, Upload-Metadata,"
    " Upload-Offset, Upload-Checksum"
)


class Access:
    """Checks every API request before its handler. Holds buckets by user or address."""

    def __init__(self, config: Config, authenticate: Authenticate, clock: Clock) -> None:
        limits = config.limits
        self._authenticate = authenticate
        self._clock = clock
        self._proxies = TrustedProxies(config.server.trusted_proxies)
        self._origins = frozenset(config.server.allowed_origins)
        self._metrics_public = config.server.metrics_public
        self._limits = limits
        self._general = Buckets(limits.http_per_s, limits.http_burst)
        self._named: dict[str, Buckets] = {}

    def peer(self, request: web.Request) -> str:
        """The client's address; X-Forwarded-For counts only from trusted proxies."""
        forwarded = request.headers.getall("X-Forwarded-For", ())
        return peer_address(socket_peer(request), forwarded, self._proxies)

    async def caller(self, request: web.Request, peer: str) -> Context:
        """Who the bearer token says it is. A bad one counts against the address.

        Raises:
            Unauthorized, RateLimited.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized("Log in first: this call needs an access token.")
            found = self._authenticate(token.strip())
            return await found if inspect.isawaitable(found) else found
        except Unauthorized:
            self.check_rate(None, peer)
            raise

    def check_rate(self, ctx: Context | None, peer: str, rate: str | None = None) -> None:
        """Take from the general bucket and, where the route names one, from that too."""
        key = limit_key(peer) if ctx is None else f"user {ctx.user_id}"
        now = self._clock.monotonic()
        wait = self._general.take(key, now)
        if wait == 0.0 and rate is not None:
            wait = self._bucket(rate).take(key, now)
        if wait > 0.0:
            raise RateLimited(
                "Too many requests. Please wait a moment.", retry_after_s=max(0.001, round(wait, 3))
            )

    def cors(self, request: web.Request) -> dict[str, str]:
        """Headers for a page of another origin, if the configuration allows it."""
        origin = request.headers.get("Origin")
        if origin is None or not self._origins:
            return {}
        if "*" in self._origins:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
        if origin not in self._origins:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
            "Vary": "Origin",
        }

    def preflight(self, request: web.Request, methods: str) -> dict[str, str]:
        headers = self.cors(request)
        if "Access-Control-Allow-Origin" in headers:
            headers["Access-Control-Allow-Methods"] = methods
            headers["Access-Control-Allow-Headers"] = ASKED
            headers["Access-Control-Max-Age"] = PREFLIGHT_S
        return headers

    def may_see_metrics(self, request: web.Request) -> bool:
        """Loopback and trusted proxies may. Loopback that forwards for somebody may not."""
        if self._metrics_public:
            return True
        near = socket_peer(request)
        if "X-Forwarded-For" in request.headers and near not in self._proxies:
            return False
        peer = self.peer(request)
        return is_loopback(peer) or peer in self._proxies

    def _bucket(self, rate: str) -> Buckets:
        if rate not in self._named:
            per_s = getattr(self._limits, f"{rate}_per_s")
            burst = getattr(self._limits, f"{rate}_burst", max(1, per_s))
            self._named[rate] = Buckets(per_s, burst)
        return self._named[rate]


def socket_peer(request: web.Request) -> str:
    """The other end of the connection; "" for a Unix socket."""
    name = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""
