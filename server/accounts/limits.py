"""How often somebody may fail to log in or sign up, by address and by user name."""

from __future__ import annotations

from collections.abc import Iterator

from server.kernel.clock import Clock
from server.kernel.config import Limits
from server.kernel.errors import RateLimited, Unavailable
from server.kernel.limits import Buckets
from server.kernel.peer import limit_key
from storage.api import SharedLimits, Spend

HOUR_S = 3600.0
MINUTE_S = 60.0


class AttemptLimits:
    """Counts sign-ups and failures. User names are counted whether they exist or not.

    `shared` may be set: the buckets of the whole cluster. Without them, and while they are away,
    this node's own count alone.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        fails = limits.login_fail_per_min
        self._clock = clock
        self.shared: SharedLimits | None = None
        self._sign_ups = Buckets(limits.signup_per_h / HOUR_S, limits.signup_per_h)
        self._by_address = Buckets(fails / MINUTE_S, fails)
        self._by_name = Buckets(fails / MINUTE_S, fails)

    async def check_sign_up(self, peer: str) -> None:
        key = limit_key(peer)
        wait = self._sign_ups.take(key, self._clock.monotonic())
        if wait <= 0:
            wait = await self._take_shared(self._sign_ups, f"sign-up:{key}")
        _refuse(wait, "Too many new accounts from your network. Please try again later.")

    async def check_failures(self, *, peer: str | None = None, name: str | None = None) -> None:
        """Raises RateLimited when there were too many failures already, at whatever node."""
        self.check_failures_here(peer=peer, name=name)
        if self.shared is None:
            return
        for buckets, key, shared_key in self._places(peer, name):
            wait = await self._wait_shared(buckets, shared_key)
            if wait > 0:
                buckets.hold(key, self._clock.monotonic(), wait)
        self.check_failures_here(peer=peer, name=name)

    def check_failures_here(self, *, peer: str | None = None, name: str | None = None) -> None:
        """The same, by what this node knows."""
        now = self._clock.monotonic()
        waits = (buckets.wait(key, now) for buckets, key, _ in self._places(peer, name))
        _refuse(
            max(waits, default=0.0), "Too many failed attempts. Please wait before you try again."
        )

    async def failed(self, *, peer: str | None = None, name: str | None = None) -> None:
        for buckets, key, shared_key in self._places(peer, name):
            buckets.take(key, self._clock.monotonic())
            wait = await self._take_shared(buckets, shared_key)
            if wait > 0:
                buckets.hold(key, self._clock.monotonic(), wait)

    def _places(self, peer: str | None, name: str | None) -> Iterator[tuple[Buckets, str, str]]:
        if peer is not None:
            key = limit_key(peer)
            yield self._by_address, key, f"fail-from:{key}"
        if name is not None:
            key = name.lower()
            yield self._by_name, key, f"fail:{key}"

    async def _take_shared(self, buckets: Buckets, key: str) -> float:
        if self.shared is None or buckets.rate_per_s <= 0:
            return 0.0
        try:
            return await self.shared.take(Spend(key, buckets.rate_per_s, buckets.burst))
        except Unavailable:
            return 0.0

    async def _wait_shared(self, buckets: Buckets, key: str) -> float:
        if self.shared is None or buckets.rate_per_s <= 0:
            return 0.0
        try:
            return (await self.shared.debit([Spend(key, buckets.rate_per_s, buckets.burst, 0.0)]))[
                0
            ]
        except Unavailable:
            return 0.0


def _refuse(wait: float, text: str) -> None:
    if wait > 0:
        raise RateLimited(text, retry_after_s=round(wait, 3) or 0.001)
