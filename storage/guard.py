"""Calls to a server outside: a time limit for each, and a breaker for all of them.

A server that does not answer would otherwise hold every request for the whole limit; after some
failures in a row its calls are refused at once, but for one probe now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger

_T = TypeVar("_T")

FAILURES = 5
OPEN_S = 1.0
"""A broken server is asked again this often."""

log = get_logger(__name__)


class Guard:
    """Around each call to the server `name`.

    Args:
        faults: exceptions that mean: the server cannot serve. Others pass through untouched.
        limit_s: how long a call may take.
    """

    def __init__(
        self, name: str, clock: Clock, *, faults: tuple[type[Exception], ...], limit_s: float
    ) -> None:
        self.name = name
        self.failures = 0
        self._clock = clock
        self._faults: tuple[type[Exception], ...] = (TimeoutError, *faults)
        self._limit_s = limit_s
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES and self._clock.monotonic() < self._open_until

    def refuse(self) -> None:
        """Raises Unavailable while the breaker is open. Whoever passes when its time is over is
        the probe: those after him are refused until it comes back.
        """
        if self.failures < FAILURES:
            return
        now = self._clock.monotonic()
        if now < self._open_until:
            raise self.unavailable()
        self._open_until = now + OPEN_S

    async def call(self, work: Awaitable[_T], *, limit_s: float | None = None) -> _T:
        """Raises Unavailable: refused, too late or failed; whether it was done is then unknown,
        unless it was refused.
        """
        try:
            self.refuse()
        except Unavailable:
            close = getattr(work, "close", None)
            if close is not None:
                close()
            raise
        try:
            async with asyncio.timeout(self._limit_s if limit_s is None else limit_s):
                result = await work
        except self._faults as fault:
            self.failed(fault)
            raise self.unavailable() from None
        except Unavailable:  # of a guard within
            raise
        except Exception:  # it refused what was asked: it is there
            self.succeeded()
            raise
        self.succeeded()
        return result

    def succeeded(self) -> None:
        if self.failures >= FAILURES:
            log.info("server.back", server=self.name)
        self.failures = 0

    def failed(self, fault: Exception) -> None:
        self.failures += 1
        if self.failures == FAILURES:
            self._open_until = self._clock.monotonic() + OPEN_S
            log.warning("server.gone", server=self.name, error=type(fault).__name__)

    def unavailable(self) -> Unavailable:
        return Unavailable(f"{self.name} does not answer. Try again later.", retry_after_s=1.0)
