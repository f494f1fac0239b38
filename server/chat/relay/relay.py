"""One node's part in telling all nodes' sockets what was stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from server.chat.announce import encode_own, member_change
from server.chat.commands import Tell
from server.chat.relay.dirty import DirtyMarks
from server.chat.relay.forward import Forward
from server.chat.relay.frames import Admitted, Blocked, Head, ReaderIn, ReaderOut, pack, stored
from server.chat.relay.outlets import LocalOutlet, WideOutlet
from server.chat.relay.rooms import Rooms, chunks
from server.chat.relay.teller import Teller
from server.chat.relay.users import Users
from server.chat.state import RoomState
from server.chat.writers import Writers
from server.kernel.clock import Clock
from server.kernel.config import Limits
from server.kernel.errors import AppError, Unavailable
from server.kernel.ids import NodeId, RoomId, Seq, UserId
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from storage.api import Event, Fanout, Store

ROUND_S = 8.0
"""Marked rooms are compared this often (and a quarter, by chance), so that a lost tail is told
within 10 s."""
TICK_S = 0.1
RETELL_PAGE = 100
RETELL_S = 60.0
"""A cut longer than this is found by comparing."""

log = get_logger(__name__)


class Relay:
    """Made before `Chat`, which attaches itself; `enter` is its `rooms_of`.

    Args:
        hub: the outlet of this process. rooms, users, sessions: ports of the fan-out.
        alive: the nodes that live, as far as this one knows; None: it does not know now.
    """

    def __init__(
        self,
        store: Store,
        hub: Outlet,
        *,
        node_id: NodeId,
        rooms: Fanout,
        users: Fanout,
        sessions: Fanout,
        commands: Fanout,
        hubs: Callable[[], Collection[NodeId]],
        limits: Limits,
        alive: Callable[[], Collection[NodeId] | None],
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        assert store.dirty is not None, "a store of several nodes has dirty rooms"
        self.node_id = node_id
        self.local = LocalOutlet(hub, self._joined, self._left)
        self.wide = WideOutlet(hub, rooms, users, sessions)
        self.marks = DirtyMarks(store.dirty, node_id, clock=clock, tasks=tasks)
        self._dirty = store.dirty
        self._store = store
        self._room_port, self._user_port = rooms, users
        self._alive = alive
        self._command_port, self._hubs, self._limits = commands, hubs, limits
        self._clock = clock
        self._tasks = tasks
        self._round_at = clock.monotonic() + ROUND_S
        self._all_due = False
        self._retell_due = False

    def attach(
        self,
        teller: Teller,
        writers: Writers,
        *,
        block_changed: Callable[[UserId, UserId, bool], None],
        tell: Tell | None,
        facts_kept: Callable[[], bool],
    ) -> None:
        """By chat, once. `tell`: facts for workers; `facts_kept`: some are not safe yet."""
        self._writers = writers
        self._tell = tell
        self._facts_kept = facts_kept
        self.forward = Forward(
            self._command_port, self.node_id, hubs=self._hubs,
            submit=writers.submit, busy=writers.busy, limits=self._limits, clock=self._clock,
        )  # fmt: skip
        self.rooms = Rooms(
            self._room_port, self._store.log, teller,
            local=self.local, clock=self._clock, tasks=self._tasks,
        )  # fmt: skip
        self.users = Users(
            self._user_port, self._store.projections, self.rooms, teller,
            local=self.local, clock=self._clock, tasks=self._tasks, block_changed=block_changed,
        )  # fmt: skip
        self._room_port.listen(self.rooms.heard, self.restored)
        self._user_port.listen(self.users.heard, lambda: None)
        self._teller = teller

    # ---- what this node stored -------------------------------------------------------------------

    def stored(self, state: RoomState, events: Sequence[Event]) -> None:
        """Tell all nodes, this one included, in the order of the log."""
        room_id = state.room_id
        for event in events:
            item = stored(event, encode_own(event))
            self._room_port.publish(room_id, pack(item))
            self.rooms.offer(room_id, item, state)
            if event.type == "member":
                self._admit(room_id, event)

    def _admit(self, room_id: RoomId, event: Event) -> None:
        user_id, change, _ = member_change(event)
        if change in ("joined", "added"):
            after = Seq(event.seq - 1)
            self._user_port.publish(user_id, pack(Admitted(room_id, after)))
            self.users.admit(user_id, room_id, after)

    def created(self, state: RoomState, events: Sequence[Event]) -> None:
        """A new room: its first members hear all of its log."""
        room_id = state.room_id
        members = [member_change(event)[0] for event in events if event.type == "member"]
        here = [user_id for user_id in members if user_id in self.users.here]
        self._teller.created(state, events)
        for user_id in here:
            self._tasks.start(self._follow_created(room_id, user_id, state.head), "follow")
        for user_id in members:
            self._user_port.publish(user_id, pack(Admitted(room_id, 0)))

    async def _follow_created(self, room_id: RoomId, user_id: UserId, told: Seq) -> None:
        await self.rooms.follow_from(room_id, user_id, told)

    def reader_in(self, user_id: UserId, room_id: RoomId) -> None:
        self._user_port.publish(user_id, pack(ReaderIn(room_id)))
        if user_id in self.users.here:
            self._tasks.start(self.users.let_reader_in(user_id, room_id), "reader_in")

    def reader_out(self, state: RoomState, user_id: UserId, reason: str) -> None:
        self._user_port.publish(user_id, pack(ReaderOut(state.room_id, reason)))
        self._teller.announcer.went(state, user_id, reason)

    def block_changed(self, by: UserId, blocked: UserId, on: bool) -> None:
        frame = pack(Blocked(by, blocked, on))
        for user_id in (by, blocked):
            self._user_port.publish(user_id, frame)

    # ---- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self.listen()
        self._tasks.start(self._ticks(), "relay.ticks")
        self._tasks.start(self._run(), "relay.rounds")

    async def listen(self) -> None:
        """Hear what is for every node, and for this one."""
        await self.wide.start()
        await self.forward.start()

    def tick(self) -> None:
        """What is due by the clock and needs no waiting."""
        self.rooms.tick()
        self.forward.tick()

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    async def _run(self) -> None:
        """Apart from the ticks: a store that is slow now must not keep commands waiting."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.rounds()

    def restored(self) -> None:
        """The fan-out was cut off and is back: nobody knows what was missed, here or elsewhere."""
        self._all_due = True
        self._retell_due = True

    def forgotten(self) -> None:
        """The cluster took this node for dead; its marks may be another's now."""
        self.marks.forget()
        self._all_due = True

    async def rounds(self) -> None:
        """Do what is due of: comparing, sweeping, clearing, taking over."""
        now = self._clock.monotonic()
        if not self._all_due and now < self._round_at:
            return
        every, self._all_due = self._all_due, False
        again, self._retell_due = self._retell_due, False
        self._round_at = now + ROUND_S * random.uniform(1.0, 1.25)
        try:
            if again:
                await self._tell_heads()
            only = None if every else await self._dirty.rooms()
            await self.rooms.compare(only)
            await self.users.compare(only)
            if every:
                await self._writers.recheck_blocks()
            await self.users.sweep()
            if not self._facts_kept():
                await self.marks.clear(self._writers.settled)
            await self._take_over()
        except Unavailable as fault:
            self._all_due = self._all_due or every
            self._retell_due = self._retell_due or again
            self._round_at = now + 1.0
            log.warning("relay.round_failed", error=fault.code)
            if every:
                await asyncio.sleep(TICK_S)

    async def _tell_heads(self) -> None:
        """What we published while we were cut off, those who were not do not miss."""
        for chunk in chunks(self.marks.lately(RETELL_S)):
            for room_id, head in (await self._store.log.heads(chunk)).items():
                self._room_port.publish(room_id, pack(Head(head.head)))

    async def _take_over(self) -> None:
        alive = self._alive()
        if not alive or self.node_id not in alive:
            return
        for dead in await self._dirty.nodes():
            if dead in alive:
                continue
            while rooms := await self._dirty.take_over(dead, self.node_id):
                log.info("node.taken_over", node_id=dead, rooms=len(rooms))
                for room_id, told in rooms.items():
                    self.marks.keep(room_id)
                    await self._retell(room_id, told)

    async def _retell(self, room_id: RoomId, told: Seq) -> None:
        """What a dead node stored and may not have told, or brought into the projections."""
        try:
            await self._writers.flush(room_id)
            more = True
            while more:
                rows, more = await self._store.log.read(room_id, after=told, limit=RETELL_PAGE)
                if self._tell is not None:
                    self._tell(rows, None)
                for row in rows:
                    item = stored(row, encode_own(row))
                    self._room_port.publish(room_id, pack(item))
                    self.rooms.offer(room_id, item)
                told = rows[-1].seq if rows else told
        except AppError as fault:
            log.warning("room.not_retold", room_id=room_id, error=fault.code)

    def snapshot(self) -> Mapping[str, Any]:
        """For /metrics."""
        counts = {f"relay_{name}_total": n for name, n in self.forward.counts.items()}
        return {
            **counts,
            "relay_caught_up_total": self.rooms.caught_up,
            "relay_rooms": len(self.rooms.followed),
            "relay_users": len(self.users.here),
        }

    def _joined(self, user_id: UserId, room_id: RoomId) -> None:
        self.users.joined(user_id, room_id)

    def _left(self, user_id: UserId, room_id: RoomId) -> None:
        self.users.left(user_id, room_id)
