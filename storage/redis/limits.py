"""Token buckets by the generic cell rate algorithm: of each bucket only when it will be full again
is kept, in us of the server's clock, and the key expires then.
"""

from __future__ import annotations

from collections.abc import Sequence

from storage.api import Spend
from storage.redis.commands import RedisCommands
from storage.redis.script import Argument, Script

CHUNK = 200
"""Buckets of one run: the server does nothing else for some 200 us."""
MICRO = 1_000_000

SPEND = Script(
    """
    -- For each key: us that its tokens cost, us that a full bucket covers, 1: even into debt.
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local waits = {}
    for i, key in ipairs(KEYS) do
        local cost, covers = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
        local full = math.max(tonumber(redis.call('GET', key) or 0), now)
        -- No debt is longer: a clock that is set back must not lock anybody out for that hour.
        full = math.min(full, now + 2 * covers + 60000000)
        local after = full + cost
        local debt = ARGV[3 * i] == '1'
        local wait = after - now - covers
        if debt or wait <= 0 then
            local ms = math.min(math.ceil((after - now) / 1000), 2592000000)
            redis.call('SET', key, string.format('%.0f', after), 'PX', math.max(ms, 1))
        end
        waits[i] = math.max(0, math.ceil(wait))
    end
    return waits
    """
)


class RedisLimits:
    """Implements `storage.api.SharedLimits`."""

    def __init__(self, commands: RedisCommands) -> None:
        self._commands = commands

    async def take(self, spend: Spend) -> float:
        waits = await SPEND.run(self._commands, (self._key(spend),), _terms(spend, spend.burst, 0))
        return float(waits[0]) / MICRO

    async def debit(self, spends: Sequence[Spend]) -> list[float]:
        """The wait is for the next token: the bucket covers one less."""
        found: list[float] = []
        for start in range(0, len(spends), CHUNK):
            chunk = spends[start : start + CHUNK]
            found.extend(wait / MICRO for wait in await self._debit(chunk))
        return found

    async def _debit(self, spends: Sequence[Spend]) -> list[int]:
        terms = [_terms(spend, spend.burst - 1, 1) for spend in spends]
        keys = [self._key(spend) for spend in spends]
        if self._commands.cluster:  # each key has a slot of its own
            runs = list(zip(keys, terms, strict=True))
            return [waits[0] for waits in await SPEND.run_each(self._commands, runs)]
        flat = [term for one in terms for term in one]
        waits: list[int] = await SPEND.run(self._commands, keys, flat)
        return waits

    def _key(self, spend: Spend) -> str:
        return self._commands.key("limit", spend.key)


def _terms(spend: Spend, covered: float, debt: int) -> Sequence[Argument]:
    """Whole us: rounding in the caller's favour, so that who waited as told is not refused."""
    each = MICRO / spend.per_s
    return int(spend.n * each), int(covered * each) + 1, debt
