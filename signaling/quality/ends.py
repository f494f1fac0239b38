"""Which calls there are and were, and who was in them: whose reports are taken, and shown to whom.

A call that ended leaves a row of its own beside those of its devices, so that their last reports
are taken at any node and after a restart, and commands that come too late are told that it is over.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from server.kernel.clock import Clock
from server.kernel.ids import DeviceId, RoomId
from server.kernel.json import encode
from signaling.call import Call
from signaling.ports import CallLog
from signaling.views import Attended, CallRecord, SavedCall
from storage.api import CallQuality, OpenCalls, QualityRow

ITSELF = DeviceId("")


class KnownCall(msgspec.Struct, frozen=True):
    """`ended_at` None: it runs. Times in ms. `devices`: all that were in it, or are."""

    room_id: RoomId
    started_at: int
    ended_at: int | None
    devices: frozenset[DeviceId]


class CarriedCalls(Protocol):
    """The calls of this process (`signaling.switchboard.Switchboard`)."""

    def call(self, call_id: str) -> Call | None: ...


class KeptEnds:
    """Implements `signaling.ports.EndedCalls`: reads what `KeepEnds` has written."""

    def __init__(self, rows: CallQuality) -> None:
        self._rows = rows

    async def find(self, call_id: str) -> CallRecord | None:
        row = await self._rows.get(call_id, ITSELF)
        return None if row is None else msgspec.json.decode(row.state, type=CallRecord)


class KnownCalls:
    """Looks in this process first, then where other nodes keep theirs, then among those over."""

    def __init__(
        self, carried: CarriedCalls | None, open_calls: OpenCalls, rows: CallQuality
    ) -> None:
        self._carried = carried
        self._open_calls = open_calls
        self._ends = KeptEnds(rows)

    async def find(self, call_id: str) -> KnownCall | None:
        call = None if self._carried is None else self._carried.call(call_id)
        if call is not None:
            return _of_carried(call)
        open_call = await self._open_calls.get(call_id)
        if open_call is not None and open_call.state:
            return _of_saved(msgspec.json.decode(open_call.state, type=SavedCall))
        record = await self._ends.find(call_id)
        if record is None or len(record.participants) < 2:  # of one alone nothing was measured
            return None
        return _of_record(record)


class KeepEnds:
    """Implements `signaling.ports.CallLog`: notes who was in a call, then hands its end on."""

    def __init__(self, call_log: CallLog, rows: CallQuality, clock: Clock) -> None:
        self._call_log = call_log
        self._rows = rows
        self._clock = clock

    async def append(self, record: CallRecord) -> None:
        await self._rows.put(
            QualityRow(
                record.call_id, ITSELF, record.room_id, record.started_by,
                self._clock.now_ms(), 1, encode(record).decode(),
            )
        )  # fmt: skip
        await self._call_log.append(record)


def _of_carried(call: Call) -> KnownCall:
    devices = frozenset(call.devices) | frozenset(call.attended)
    return KnownCall(call.room_id, call.started_ms, call.ended_ms if call.over else None, devices)


def _of_saved(saved: SavedCall) -> KnownCall:
    ended_at = None if saved.reason is None else saved.ended_at
    devices = frozenset(each.device_id for each in saved.devices) | _attended(saved.attended)
    return KnownCall(saved.room_id, saved.started_at, ended_at, devices)


def _of_record(record: CallRecord) -> KnownCall:
    devices = _attended(record.participants)
    return KnownCall(record.room_id, record.started_at, record.ended_at, devices)


def _attended(stays: tuple[Attended, ...]) -> frozenset[DeviceId]:
    return frozenset(each.device_id for each in stays)
