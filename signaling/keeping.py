"""Calls are kept beside the process while they run; their end goes to the room's log, then the row.

For each call one thing after the other, so that a slow store holds up no other call and nothing
that a client waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from server.kernel.errors import AppError, Unavailable
from server.kernel.ids import NodeId
from server.kernel.json import encode
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from signaling.ports import CallLog
from signaling.views import CallRecord, SavedCall
from storage.api import CallRow, OpenCalls

RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
CLOSE_S = 3.0

log = get_logger(__name__)


class Keeping:
    """`lost`: told of a call that another node has taken over."""

    def __init__(
        self,
        rows: OpenCalls,
        call_log: CallLog,
        *,
        node_id: NodeId,
        tasks: TaskOwner,
        lost: Callable[[str], None],
    ) -> None:
        self._rows = rows
        self._log = call_log
        self._node_id = node_id
        self._tasks = tasks
        self._lost = lost
        self._known: set[str] = set()
        self._changed: dict[str, SavedCall] = {}
        self._ended: dict[str, CallRecord] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def __len__(self) -> int:
        """Calls of which something is not stored yet."""
        return len(self._busy)

    def known(self, call_id: str) -> None:
        """It has a row already, and it is ours."""
        self._known.add(call_id)

    def save(self, call: SavedCall) -> None:
        self._changed[call.call_id] = call
        self._begin(call.call_id)

    def ended(self, record: CallRecord) -> None:
        self._ended[record.call_id] = record
        self._begin(record.call_id)

    async def close(self) -> None:
        """What is under way may end; the rest is in the rows, for the next start."""
        self._closing = True
        if self._busy:
            await asyncio.wait(tuple(self._busy.values()), timeout=CLOSE_S)

    def row(self, call: SavedCall) -> CallRow:
        state = encode(call).decode()
        running = call.reason is None
        return CallRow(call.call_id, call.room_id, self._node_id, running, state)

    # ---- inside ----------------------------------------------------------------------------------

    def _begin(self, call_id: str) -> None:
        if call_id not in self._busy:
            self._busy[call_id] = self._tasks.start(self._run(call_id), "call_kept")

    async def _run(self, call_id: str) -> None:
        attempt = 0
        try:
            while call_id in self._changed or call_id in self._ended:
                try:
                    await self._step(call_id)
                    attempt = 0
                except Unavailable:
                    log.warning("call.not_kept", call_id=call_id)
                    if self._closing:
                        return
                    await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                    attempt += 1
        finally:
            self._busy.pop(call_id, None)

    async def _step(self, call_id: str) -> None:
        call = self._changed.get(call_id)
        if call is not None:
            if not await self._store(self.row(call)):
                self._forget(call_id)
                self._lost(call_id)
                return
            if self._changed.get(call_id) is call:
                del self._changed[call_id]
            return
        await self._write_end(self._ended[call_id])
        await self._rows.drop(call_id)
        self._forget(call_id)

    async def _store(self, row: CallRow) -> bool:
        """False: the call is another node's."""
        if row.id in self._known:
            return await self._rows.put(row)
        found = await self._claim(row)
        if found.owner != self._node_id:
            return False
        if found.id != row.id:
            raise Unavailable("The end of the room's call before is still to be stored.")
        self._known.add(row.id)
        return True

    async def _claim(self, row: CallRow) -> CallRow:
        """The room's call before may be on its way out still, or have gone in this moment."""
        found = await self._rows.claim(row)
        while found.id != row.id and found.id in self._busy:
            await asyncio.wait((self._busy[found.id],), timeout=RETRY_S[0])
            found = await self._rows.claim(row)
        return found if found.id == row.id else await self._rows.claim(row)

    async def _write_end(self, record: CallRecord) -> None:
        try:
            await self._log.append(record)
        except Unavailable:
            raise
        except AppError as refusal:  # the room is gone, or it is there already
            log.warning("call.not_logged", call_id=record.call_id, code=refusal.code)

    def _forget(self, call_id: str) -> None:
        self._known.discard(call_id)
        self._changed.pop(call_id, None)
        self._ended.pop(call_id, None)
