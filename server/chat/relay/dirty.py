"""Rooms this node appends to are marked before, and cleared long after, so that the tail of a log
is told even when the node dies between the append and the telling (DESIGN section 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.ids import NodeId, RoomId, Seq
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner
from storage.api import DirtyRooms

CLEAR_AFTER_S = 40.0
"""Since the last append; the others look at marked rooms every 10 s."""
CLEAR_AT_ONCE = 1_000

log = get_logger(__name__)


class DirtyMarks:
    """This node's marks. `touch` before each append."""

    def __init__(
        self, dirty: DirtyRooms, node_id: NodeId, *, clock: Clock, tasks: TaskOwner
    ) -> None:
        self._dirty = dirty
        self._node_id = node_id
        self._clock = clock
        self._tasks = tasks
        self._marked: dict[RoomId, float] = {}
        self._waiting: dict[RoomId, Seq] = {}
        self._marking: asyncio.Future[None] | None = None
        self._clearing: asyncio.Task[None] | None = None

    def touch(self, room_id: RoomId, told: Seq) -> Awaitable[None] | None:
        """The room is about to be appended to after `told`. None: it is marked already.

        While the marks cannot be written the append goes on all the same: only a crash of this very
        node could hide its tail, and only from rooms in which nobody writes again.
        """
        marked = room_id in self._marked
        self._marked[room_id] = self._clock.monotonic()
        if marked:
            return None
        self._waiting[room_id] = told
        if self._marking is None:
            self._marking = asyncio.get_running_loop().create_future()
            self._tasks.start(self._mark(self._marking), "dirty")
        return asyncio.shield(self._marking)

    async def _mark(self, done: asyncio.Future[None]) -> None:
        """One statement for what a loop turn brings."""
        await asyncio.sleep(0)
        if self._clearing is not None:  # it must not take away what is marked again now
            await asyncio.wait([self._clearing])
        rooms, self._waiting, self._marking = self._waiting, {}, None
        try:
            await self._dirty.mark(self._node_id, rooms)
        except Unavailable:
            log.warning("dirty.not_marked", rooms=len(rooms))
            for room_id in rooms:
                self._marked.pop(room_id, None)
        finally:
            if not done.done():
                done.set_result(None)

    async def clear(self, settled: Callable[[RoomId], bool]) -> None:
        """Clear what has been silent long enough and is `settled`."""
        before = self._clock.monotonic() - CLEAR_AFTER_S
        old = [room_id for room_id, at in self._marked.items() if at < before and settled(room_id)]
        if not old or self._clearing is not None:
            return
        del old[CLEAR_AT_ONCE:]
        for room_id in old:
            del self._marked[room_id]
        work = self._dirty.clear(self._node_id, old)
        self._clearing = self._tasks.start(_quietly(work), "dirty_clear")
        try:
            await asyncio.wait([self._clearing])
        finally:
            self._clearing = None

    def forget(self) -> None:
        """Others may have taken our marks over: mark again what is appended to from now on."""
        self._marked.clear()

    def lately(self, seconds: float) -> list[RoomId]:
        """Rooms appended to within the last so many seconds."""
        after = self._clock.monotonic() - seconds
        return [room_id for room_id, at in self._marked.items() if at >= after]

    def keep(self, room_id: RoomId) -> None:
        """The mark came from a dead node: it is ours now."""
        self._marked[room_id] = self._clock.monotonic()


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """A mark that stays costs a look at its room, no more."""
    try:
        await work
    except Unavailable:
        log.warning("dirty.not_cleared")
