"""The writers of the rooms that were used lately: made when asked for, let go when many."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from server.chat.commands import Command, Desk, Flush, Refresh
from server.chat.keeper import Announce, Others
from server.chat.state import RoomState, blocked_in
from server.chat.writer import RoomWriter
from server.kernel.clock import Clock
from server.kernel.errors import Unavailable
from server.kernel.events import Context
from server.kernel.ids import DeviceId, RoomId, SessionId, UserId
from server.kernel.tasks import TaskOwner

if TYPE_CHECKING:
    from server.chat.relay.frames import Stored
    from server.chat.relay.relay import Relay

MAX_WRITERS = 10_000
"""Rooms kept in memory; past it those opened longest ago go."""
IDLE_S = 1.0
"""A room silent this long has its projection brought up to its head."""
NOBODY = Context(UserId(""), DeviceId(""), SessionId(""))


@dataclass(slots=True)
class Running:
    writer: RoomWriter
    task: asyncio.Task[Any]


class Writers:
    """`announce`: told what a writer stored, in order. `relay`: to other nodes that write too."""

    def __init__(
        self,
        desk: Desk,
        announce: Announce,
        *,
        clock: Clock,
        tasks: TaskOwner,
        relay: Relay | None,
    ) -> None:
        self._desk = desk
        self._announce = announce
        self._clock = clock
        self._tasks = tasks
        self._relay = relay
        self._running: dict[RoomId, Running] = {}
        self._dirty: set[RoomId] = set()

    # ---- rooms -----------------------------------------------------------------------------------

    def state(self, room_id: RoomId) -> RoomState | None:
        """The room in memory, if it is."""
        running = self._running.get(room_id)
        return None if running is None else running.writer.state

    async def ready(self, room_id: RoomId) -> RoomState:
        """Loaded if need be. Raises NotFound."""
        return await self._writer(room_id).ready()

    def submit(self, room_id: RoomId, command: Command) -> None:
        self._dirty.add(room_id)
        self._writer(room_id).submit(command)

    async def flush(self, room_id: RoomId) -> None:
        """Bring the room's projection to its head."""
        self._dirty.discard(room_id)
        command = Flush(NOBODY)
        self._writer(room_id).submit(command)
        await command.future

    async def refresh(self, room_id: RoomId) -> None:
        """Let the room in memory follow its log."""
        command = Refresh(NOBODY)
        self._writer(room_id).submit(command)
        await command.future

    def busy(self, room_id: RoomId) -> bool:
        """Commands of the room wait here."""
        running = self._running.get(room_id)
        return running is not None and not running.writer.idle

    def settled(self, room_id: RoomId) -> bool:
        """Nothing of the room waits to be told or applied."""
        running = self._running.get(room_id)
        state = None if running is None else running.writer.state
        return running is None or (
            running.writer.idle and state is not None and state.applied == state.head
        )

    # ---- other nodes -----------------------------------------------------------------------------

    def absorb(self, room_id: RoomId, item: Stored) -> None:
        running = self._running.get(room_id)
        if running is not None:
            running.writer.absorb(item)

    def _duelled(self, room_id: RoomId) -> None:
        """Another node writes in this room at the same time: one of us goes on alone."""
        assert self._relay is not None
        forward = self._relay.forward
        forward.duelled(room_id)
        writer = self._running[room_id].writer
        stays = False
        for command in writer.give_up_queue():
            own = not isinstance(command, Flush | Refresh)
            if own and not stays and forward.take(room_id, command, waited=True):
                continue
            stays = stays or own  # behind one that stays here all others do: none overtakes it
            writer.submit(command)

    def block_changed(self, by: UserId, blocked: UserId, on: bool) -> None:
        """Let the direct rooms in memory follow."""
        for running in self._running.values():
            state = running.writer.state
            if state is None or state.row.kind != "direct" or by not in state.members:
                continue
            if blocked in state.members and on:
                state.blocked.add(blocked)
            else:
                state.blocked.discard(blocked)

    async def recheck_blocks(self) -> None:
        """What other nodes told of blocks may have been lost. Raises Unavailable."""
        for running in tuple(self._running.values()):
            state = running.writer.state
            if state is not None and state.row.kind == "direct":
                state.blocked = await blocked_in(self._desk.store, state)

    # ---- life ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Flush the rooms that have gone silent."""
        now = self._clock.monotonic()
        for room_id in tuple(self._dirty):
            running = self._running.get(room_id)
            if running is None:
                self._dirty.discard(room_id)
            elif running.writer.idle and now - running.writer.used_at >= IDLE_S:
                self._dirty.discard(room_id)
                command = Flush(NOBODY)
                command.future.add_done_callback(partial(self._flushed, room_id))
                running.writer.submit(command)

    def _flushed(self, room_id: RoomId, done: asyncio.Future[Any]) -> None:
        """A store that could not serve is asked again: members may not know of what it kept."""
        if isinstance(done.exception(), Unavailable):
            self._dirty.add(room_id)

    async def close(self) -> None:
        """Store what projections lag behind and end all writers."""
        rooms = [r for r, running in self._running.items() if running.writer.state is not None]
        await asyncio.gather(*(self.flush(room_id) for room_id in rooms), return_exceptions=True)
        for running in self._running.values():
            running.task.cancel()
        tasks = [running.task for running in self._running.values()]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    def _writer(self, room_id: RoomId) -> RoomWriter:
        running = self._running.get(room_id)
        if running is None or running.task.done():
            self._make_place()
            others = None if self._relay is None else Others(self._relay.marks, self._duelled)
            writer = RoomWriter(room_id, self._desk, self._clock, self._announce, others)
            task = self._tasks.start(writer.run(), "room")
            running = self._running[room_id] = Running(writer, task)
        return running.writer

    def _make_place(self) -> None:
        """Let go of the rooms opened longest ago that have nothing to do."""
        if len(self._running) < MAX_WRITERS:
            return
        for room_id, running in list(self._running.items())[: MAX_WRITERS // 10]:
            state = running.writer.state
            if running.writer.idle and (state is None or state.applied == state.head):
                running.task.cancel()
                del self._running[room_id]
