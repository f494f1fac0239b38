"""Which relay ports are in use."""

from __future__ import annotations

from random import Random

_GUESSES = 32


class Ports:
    """Ports of one host. Chosen at random, so that nobody guesses the next one (RFC 8656, 7.2)."""

    def __init__(self, first: int, last: int, random: Random) -> None:
        self._first, self._last = first, last
        self._random = random
        self._used: set[int] = set()

    def __contains__(self, port: int) -> bool:
        return port in self._used

    def __len__(self) -> int:
        return len(self._used)

    def pick(self, *, even: bool = False, pair: bool = False) -> tuple[int, ...] | None:
        """One port (an even one), or an even one and the next; they count as used. None: full."""
        last = self._last - pair
        if last < self._first:
            return None
        # A few guesses; then all of them, from a random place on.
        for _ in range(_GUESSES):
            port = self._random.randint(self._first, last)
            if self._free(port, even, pair):
                return self._use(port, pair)
        start = self._random.randint(self._first, last)
        for port in (*range(start, last + 1), *range(self._first, start)):
            if self._free(port, even, pair):
                return self._use(port, pair)
        return None

    def release(self, port: int) -> None:
        self._used.discard(port)

    def _free(self, port: int, even: bool, pair: bool) -> bool:
        if port in self._used or (even and port & 1):
            return False
        return not pair or port + 1 not in self._used

    def _use(self, port: int, pair: bool) -> tuple[int, ...]:
        ports = (port, port + 1) if pair else (port,)
        self._used.update(ports)
        return ports
