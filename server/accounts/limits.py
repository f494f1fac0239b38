"""How often somebody may fail to log in or sign up, by address and by user name."""

from __future__ import annotations

from server.kernel.clock import Clock
from server.kernel.config import Limits
from server.kernel.errors import RateLimited
from server.kernel.limits import Buckets
from server.kernel.peer import limit_key

HOUR_S = 3600.0
MINUTE_S = 60.0


class AttemptLimits:
    """Counts sign-ups and failures. User names are counted whether they exist or not."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        fails = limits.login_fail_per_min
        self._clock = clock
        self._sign_ups = Buckets(limits.signup_per_h / HOUR_S, limits.signup_per_h)
        self._by_address = Buckets(fails / MINUTE_S, fails)
        self._by_name = Buckets(fails / MINUTE_S, fails)

    def check_sign_up(self, peer: str) -> None:
        wait = self._sign_ups.take(limit_key(peer), self._clock.monotonic())
        _refuse(wait, "Too many new accounts from your network. Please try again later.")

    def check_failures(self, *, peer: str | None = None, name: str | None = None) -> None:
        """Raises RateLimited when there were too many failures already."""
        now = self._clock.monotonic()
        wait = 0.0
        if peer is not None:
            wait = self._by_address.wait(limit_key(peer), now)
        if name is not None:
            wait = max(wait, self._by_name.wait(name.lower(), now))
        _refuse(wait, "Too many failed attempts. Please wait before you try again.")

    def failed(self, *, peer: str | None = None, name: str | None = None) -> None:
        now = self._clock.monotonic()
        if peer is not None:
            self._by_address.take(limit_key(peer), now)
        if name is not None:
            self._by_name.take(name.lower(), now)


def _refuse(wait: float, text: str) -> None:
    if wait > 0:
        raise RateLimited(text, retry_after_s=round(wait, 3) or 0.001)
