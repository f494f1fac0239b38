"""Carries packets to rooms and users: `server.kernel.outlet.Outlet` but for ending sessions.

What one loop turn brings for a room goes out in one write to each socket. When merging paid the
last time and the room is still busy, a batch waits up to `merge_ms` for its companions: group
commits come in pairs of one small and one large group, and a socket write costs 10 us of kernel
time however many messages are in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from server.hub.audience import Audience
from server.hub.metrics import HubMetrics
from server.hub.outbox import Outbox, Packet
from server.hub.session import Session
from server.kernel.ids import RoomId, SocketId, UserId
from server.kernel.json import encode
from server.kernel.outlet import RoomEvent

MERGE_FROM = 16
"""Sockets in a room from which waiting for companions can save more than it delays."""

MERGE_MAX = 64
"""Packets after which a batch does not wait any longer."""

MAX_BUSY = 10_000
"""Rooms whose last merge is remembered."""

ROOM_EVENT = b'2["room:event",%b]'
"""An EVENT packet of `/`."""

Parcel = tuple[Packet, UserId | None, Packet | None]
"""What all get; the user who gets the third instead (None: nothing)."""


class Batch:
    """Packets that wait for a room's sockets, in order."""

    __slots__ = ("parcels", "since", "timer")

    def __init__(self, since: float) -> None:
        self.parcels: list[Parcel] = []
        self.since = since
        self.timer: asyncio.TimerHandle | None = None


def packet_of(name: str, payload: Any, *, ephemeral: bool = False) -> Packet:
    """An EVENT packet of `/`. Names are the server's own: no escape is needed."""
    return Packet(b'2["%b",%b]' % (name.encode(), encode(payload)), ephemeral=ephemeral)


class Fanout:
    """See the module. Lives in one event loop; every method returns at once."""

    def __init__(
        self, audience: Audience, outbox: Outbox, metrics: HubMetrics, *, merge_ms: float
    ) -> None:
        self._audience = audience
        self._outbox = outbox
        self._metrics = metrics
        self._merge_s = merge_ms / 1000
        self._batches: dict[RoomId, Batch] = {}
        self._paid: dict[RoomId, float] = {}
        self._scheduled = False

    # ---- to rooms --------------------------------------------------------------------------------

    def room_event(self, room_id: RoomId, event: RoomEvent) -> None:
        if room_id not in self._audience.rooms:
            return
        mine = None
        if event.own is not event.public and self._audience.sessions_of(event.sender):
            mine = Packet(ROOM_EVENT % event.own)
        every = Packet(ROOM_EVENT % event.public)
        self._add(room_id, (every, event.sender if mine else None, mine))

    def to_room(
        self,
        room_id: RoomId,
        name: str,
        payload: Any,
        *,
        without: UserId | None = None,
        ephemeral: bool = False,
    ) -> None:
        if room_id in self._audience.rooms:
            self._add(room_id, (packet_of(name, payload, ephemeral=ephemeral), without, None))

    # ---- to users and sockets --------------------------------------------------------------------

    def to_users(
        self,
        user_ids: Iterable[UserId],
        name: str,
        payload: Any,
        *,
        ephemeral: bool = False,
        without: SocketId | None = None,
    ) -> None:
        packet: Packet | None = None
        for user_id in user_ids:
            sessions = self._audience.sessions_of(user_id)
            if not sessions:
                continue
            self._flush_for(user_id)
            packet = packet or packet_of(name, payload, ephemeral=ephemeral)
            for session in tuple(sessions):
                if session.socket_id != without:
                    self._outbox.write(session, packet)

    def to_socket(
        self, socket_id: SocketId, name: str, payload: Any, *, ephemeral: bool = False
    ) -> None:
        session = self._audience.by_socket(socket_id)
        if session is not None and session.user_id is not None:
            self._flush_for(session.user_id)
            self._outbox.write(session, packet_of(name, payload, ephemeral=ephemeral))

    def join(self, user_id: UserId, room_id: RoomId) -> None:
        self.flush(room_id)
        self._audience.join(user_id, room_id)

    def leave(self, user_id: UserId, room_id: RoomId) -> None:
        self.flush(room_id)
        self._audience.leave(user_id, room_id)

    def online(self, user_id: UserId) -> bool:
        return bool(self._audience.sessions_of(user_id))

    # ---- batches ---------------------------------------------------------------------------------

    def flush(self, room_id: RoomId) -> None:
        """Send what waits for the room, now. Whoever sends directly to a member does this first."""
        batch = self._batches.pop(room_id, None)
        if batch is None:
            return
        if batch.timer is not None:
            batch.timer.cancel()
        self._deliver(room_id, batch.parcels)
        now = time.perf_counter()
        self._metrics.fanout_s.observe(now - batch.since)
        if len(batch.parcels) > 1:
            if len(self._paid) > MAX_BUSY:
                self._paid.clear()
            self._paid[room_id] = now
        else:
            self._paid.pop(room_id, None)

    def _add(self, room_id: RoomId, parcel: Parcel) -> None:
        batch = self._batches.get(room_id)
        if batch is None:
            now = time.perf_counter()
            batch = self._batches[room_id] = Batch(now)
            self._schedule(room_id, batch, now)
        batch.parcels.append(parcel)
        if len(batch.parcels) >= MERGE_MAX:
            self.flush(room_id)

    def _schedule(self, room_id: RoomId, batch: Batch, now: float) -> None:
        loop = asyncio.get_running_loop()
        paid = self._paid.get(room_id)
        if (
            paid is not None
            and now - paid < 5 * self._merge_s
            and len(self._audience.members(room_id)) >= MERGE_FROM
        ):
            batch.timer = loop.call_later(self._merge_s, self.flush, room_id)
        elif not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush_turn)

    def _flush_turn(self) -> None:
        self._scheduled = False
        for room_id in [room for room, batch in self._batches.items() if batch.timer is None]:
            self.flush(room_id)

    def _flush_for(self, user_id: UserId) -> None:
        """Keep the order for a user: first what waits in his rooms."""
        if not self._batches:
            return
        present = self._audience.users.get(user_id)
        if present is None or not present.rooms:
            return
        for room_id in self._batches.keys() & present.rooms:
            self.flush(room_id)

    def _deliver(self, room_id: RoomId, parcels: list[Parcel]) -> None:
        members = list(self._audience.members(room_id))
        shared = b"".join([every.frame for every, _, _ in parcels])
        special = {user: _frames_for(user, parcels) for _, user, _ in parcels if user is not None}
        slow: list[Session] = []
        for session in members:
            socket = session.socket
            write = socket.raw_write
            if write is None or socket.congested:
                slow.append(session)
            elif special and session.user_id in special:
                if frames := special[session.user_id]:
                    write(frames)
            else:
                write(shared)
        for session in slow:
            self._deliver_slowly(session, parcels)
        self._metrics.deliveries += len(members) * len(parcels)

    def _deliver_slowly(self, session: Session, parcels: list[Parcel]) -> None:
        for every, user, instead in parcels:
            packet = instead if user is not None and user == session.user_id else every
            if packet is not None:
                self._outbox.write_carefully(session, packet)


def _frames_for(user: UserId, parcels: list[Parcel]) -> bytes:
    chosen = [instead if user == other else every for every, other, instead in parcels]
    return b"".join([packet.frame for packet in chosen if packet is not None])
