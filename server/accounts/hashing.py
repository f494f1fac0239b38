"""Password work off the event loop: few at a time, a bounded queue, the rest is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from crypto import passwords
from server.kernel.errors import Unavailable

_T = TypeVar("_T")

THREADS = 2
"""Each takes a core for about 25 ms and 19 MiB: more would starve the loop, not go faster."""
QUEUE = 256
"""At 80 hashes a second the last one waits about 3 s; past it the caller is asked to come back."""


class PasswordWork:
    """Hashes and verifies. `verifications` counts, so that a test can tell that work is equal."""

    def __init__(self, *, threads: int = THREADS, queue: int = QUEUE) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._turns = asyncio.Semaphore(threads)
        self._queue = queue
        self._waiting = 0
        self._decoy = passwords.decoy_hash()
        self.verifications = 0

    async def hash(self, password: str) -> str:
        return await self._run(lambda: passwords.hash_password(password))

    async def verify(
        self, stored: str | None, password: str, *, allowed: Callable[[], None] = lambda: None
    ) -> bool:
        """Whether the password is the stored one's; without a stored one False, for equal work.

        `allowed` is called when the turn has come and may raise to refuse then (a limit that filled
        up while this one waited).
        """
        usable = stored is not None and stored != passwords.UNUSABLE
        against = stored if usable and stored is not None else self._decoy

        def work() -> bool:
            return passwords.verify_password(against, password)

        matches = await self._run(work, allowed)
        self.verifications += 1
        return matches and usable

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T], allowed: Callable[[], None] | None = None) -> _T:
        if self._waiting >= self._queue:
            raise Unavailable("Too many logins at this moment. Please try again.", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._turns:
                if allowed is not None:
                    allowed()
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
