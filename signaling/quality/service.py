"""Takes what devices measured in a call and shows it to the members of its room."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from server.kernel.clock import Clock
from server.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Unavailable,
)
from server.kernel.events import Context
from server.kernel.ids import UserId
from server.kernel.json import encode
from server.kernel.limits import Buckets
from signaling.ports import Rooms
from signaling.quality.ends import ITSELF, KnownCall, KnownCalls
from signaling.quality.numbers import Numbers
from signaling.quality.record import Record, fold
from signaling.quality.shapes import (
    ParticipantQuality,
    PostQuality,
    QualityOfCall,
    QualitySoFar,
    hundredth,
    participant,
)
from signaling.quality.verdict import mean_score
from signaling.rules import no_call
from storage.api import CallQuality, QualityRow

LATE_MS = 300_000
"""After its end: a device that was offline tells the rest when it is back."""
CLOCK_MS = 10_000
"""By so much a device may be wrong about the server's clock."""
ATTEMPTS = 5
PARTICIPANTS = 100


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Of one user. `posts_per_s` 0: none; he may read twice as often as he posts."""

    posts_per_s: float = 1.0
    burst: int = 20


class Quality:
    """Nothing is kept here: each report is read, folded in and written again, so that it may come
    to any node. A row is some 30 KB after an hour, a report comes every 10 s.
    """

    def __init__(
        self,
        rows: CallQuality,
        calls: KnownCalls,
        rooms: Rooms,
        clock: Clock,
        limits: QualityLimits | None = None,
    ) -> None:
        limits = limits or QualityLimits()
        self._rows = rows
        self._calls = calls
        self._rooms = rooms
        self._clock = clock
        self._posts = Buckets(limits.posts_per_s, limits.burst)
        self._reads = Buckets(2 * limits.posts_per_s, limits.burst)
        self._numbers = Numbers()

    async def post(self, ctx: Context, call_id: str, posted: PostQuality) -> QualitySoFar:
        """Raises NotFound, Forbidden, Conflict, Invalid, RateLimited, Unavailable."""
        self._check_rate(self._posts, ctx.user_id)
        call = await self._seen(ctx, call_id)
        self._check_may_post(ctx, call)
        self._check_times(call, posted)
        for _ in range(ATTEMPTS):
            record = await self._fold(ctx, call_id, call, posted)
            if record is not None:
                return QualitySoFar(hundredth(mean_score(record.windows)))
        raise Unavailable("Too many report on this call at once.", retry_after_s=1.0)

    async def of_call(self, ctx: Context, call_id: str) -> QualityOfCall:
        """Raises NotFound, RateLimited, Unavailable."""
        self._check_rate(self._reads, ctx.user_id)
        await self._seen(ctx, call_id)
        rows = await self._rows.of_call(call_id, PARTICIPANTS + 1)
        return QualityOfCall(call_id, await asyncio.to_thread(_participants, rows))

    def snapshot(self) -> Mapping[str, Any]:
        """For /metrics."""
        return self._numbers.snapshot()

    # ---- inside ----------------------------------------------------------------------------------

    async def _seen(self, ctx: Context, call_id: str) -> KnownCall:
        """A call of a room that the caller is in, and not blocked in. Raises NotFound."""
        call = await self._calls.find(call_id)
        if call is None:
            raise no_call()
        try:
            room = await self._rooms.facts(call.room_id, ctx.user_id, rings_up_to=0)
        except (NotFound, Forbidden):
            raise no_call() from None
        if room.direct and not room.may_call:
            raise no_call()
        return call

    def _check_may_post(self, ctx: Context, call: KnownCall) -> None:
        if ctx.device_id not in call.devices:
            raise Forbidden("Your device was not in this call.")
        if call.ended_at is not None and self._clock.now_ms() > call.ended_at + LATE_MS:
            raise Conflict("This call ended too long ago to report on it.")

    def _check_times(self, call: KnownCall, posted: PostQuality) -> None:
        begin = call.started_at - CLOCK_MS
        end = (self._clock.now_ms() if call.ended_at is None else call.ended_at) + CLOCK_MS
        for window in posted.windows:
            if window.at < begin or window.at + window.ms > end:
                text = "The window is not within the time of the call, by the server's clock."
                now = {"now": self._clock.now_ms()}
                raise Invalid(text, field="windows.at", data=now)

    async def _fold(
        self, ctx: Context, call_id: str, call: KnownCall, posted: PostQuality
    ) -> Record | None:
        """None: another report was written meanwhile."""
        row = await self._rows.get(call_id, ctx.device_id)
        before = Record() if row is None else _read(row)
        after, fresh = fold(
            before,
            [each.window for each in posted.windows],
            setup_ms=None if posted.setup_ms is None else round(posted.setup_ms),
            pair=posted.pair,
        )
        if after == before and row is not None:
            return before
        now_ms, state = self._clock.now_ms(), encode(after).decode()
        if row is None:
            row = QualityRow(
                call_id, ctx.device_id, call.room_id, ctx.user_id, now_ms, 1, state
            )  # fmt: skip
        else:
            row = replace(row, updated_at=now_ms, version=row.version + 1, state=state)
        if not await self._rows.put(row):
            return None
        self._numbers.count(before, after, fresh)
        return after

    def _check_rate(self, buckets: Buckets, user_id: UserId) -> None:
        wait = buckets.take(user_id, self._clock.monotonic())
        if wait > 0:
            text = "That was too often; please wait."
            raise RateLimited(text, retry_after_s=max(0.001, round(wait, 3)))


def _participants(rows: Sequence[QualityRow]) -> tuple[ParticipantQuality, ...]:
    """In a thread: 3 ms for each that was there for an hour."""
    found = [participant(r.user_id, r.device_id, _read(r)) for r in rows if r.device_id != ITSELF]
    return tuple(sorted(found, key=lambda each: (each.user_id, each.device_id)))


def _read(row: QualityRow) -> Record:
    return msgspec.json.decode(row.state, type=Record)
