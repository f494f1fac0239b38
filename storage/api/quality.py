"""How good a call was, kept with it: a row for each device that was in it, and one of the call."""

from __future__ import annotations

from typing import Protocol

import msgspec

from server.kernel.ids import DeviceId, RoomId, UserId


class QualityRow(msgspec.Struct, frozen=True):
    """`device_id` "": of the call itself. `version`: 1 for a new row, one more at each change.
    `state`: JSON of whoever keeps it, at most 64 KiB.
    """

    call_id: str
    device_id: DeviceId
    room_id: RoomId
    user_id: UserId
    updated_at: int
    version: int
    state: str


class CallQuality(Protocol):
    """Several nodes may write the same row: who read an older version does not win."""

    async def put(self, row: QualityRow) -> bool:
        """Insert version 1, or replace the version before `row.version`. False: another is there;
        nothing was changed.
        """
        ...

    async def get(self, call_id: str, device_id: DeviceId) -> QualityRow | None: ...

    async def of_call(self, call_id: str, limit: int) -> list[QualityRow]:
        """By device, so that the call's own row is the first."""
        ...

    async def drop_before(self, at: int, limit: int) -> int:
        """Forget rows that were last changed before then, up to `limit`; how many went."""
        ...
