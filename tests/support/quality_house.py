"""Quality beside the calls of a house or of a node: routes are asked as HTTP asks them."""

from __future__ import annotations

from typing import Any

import msgspec

from server.kernel.events import Context, Request
from server.kernel.json import encode
from server.kernel.shapes import fit
from signaling.quality.wiring import QualityLimits, QualityPart, build
from tests.support.call_windows import posted
from tests.support.calls_house import CallsHouse


class QualityHouse:
    """`carries` False: a process that has no calls, only the API."""

    def __init__(
        self,
        house: CallsHouse,
        *,
        carries: bool = True,
        kept_days: int = 0,
        limits: QualityLimits | None = None,
    ) -> None:
        self.house = house
        self.part: QualityPart = build(
            house.store,
            carried=house.calls.exchange.core if carries else None,
            rooms=house.rooms, clock=house.clock, tasks=house.tasks, leads=lambda: True,
            kept_days=kept_days, limits=limits,
        )  # fmt: skip

    async def post(self, ctx: Context, call_id: str, **body: Any) -> Any:
        """Raises AppError."""
        return await self._ask("POST", ctx, call_id, body)

    async def get(self, ctx: Context, call_id: str) -> Any:
        """Raises AppError."""
        return await self._ask("GET", ctx, call_id, None)

    async def measures(self, ctx: Context, call_id: str, **given: Any) -> Any:
        """The last ten seconds, good ones unless told otherwise."""
        window = posted(self.house.clock.now_ms() - 10_000, **given)
        return await self.post(ctx, call_id, windows=[window])

    async def _ask(self, method: str, ctx: Context, call_id: str, body: Any) -> Any:
        bound = next(each for each in self.part.routes if each.route.method == method)
        shape = bound.route.body
        fitted = None if shape is None else fit(msgspec.json.decode(encode(body)), shape)
        answer = await bound.handler(Request(ctx, {"call_id": call_id}, None, fitted, "peer"))
        return msgspec.json.decode(encode(answer))
