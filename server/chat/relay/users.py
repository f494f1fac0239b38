"""The users whose sockets are at this node, the rooms each of them hears, and how that changes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from server.chat.announce import Announcer
from server.chat.relay.frames import (
    Admitted,
    Blocked,
    ReaderIn,
    ReaderOut,
    ToUser,
    read_user_frame,
)
from server.chat.relay.rooms import Rooms, chunks
from server.chat.relay.teller import Teller
from server.chat.views import head_of, view_room
from server.kernel.clock import Clock
from server.kernel.errors import AppError
from server.kernel.ids import RoomId, Seq, UserId
from server.kernel.logs import get_logger
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from storage.api import Fanout, Projections

KEPT_S = 30.0
"""Who has no socket any more is heard for this long: most come back."""
USERS_AT_ONCE = 500

log = get_logger(__name__)


@dataclass(slots=True)
class Here:
    """`since`: when he last came (monotonic seconds)."""

    since: float
    rooms: set[RoomId] = field(default_factory=set)


class Users:
    """See the module."""

    def __init__(
        self,
        port: Fanout,
        projections: Projections,
        rooms: Rooms,
        teller: Teller,
        *,
        local: Outlet,
        clock: Clock,
        tasks: TaskOwner,
        block_changed: Callable[[UserId, UserId, bool], None],
    ) -> None:
        self.here: dict[UserId, Here] = {}
        self._port = port
        self._projections = projections
        self._rooms = rooms
        self._teller = teller
        self._local = local
        self._clock = clock
        self._tasks = tasks
        self._block_changed = block_changed

    @property
    def _announcer(self) -> Announcer:
        return self._teller.announcer

    # ---- coming and going ------------------------------------------------------------------------

    async def enter(self, user_id: UserId) -> Collection[RoomId]:
        """His first socket here is about to be let in: on return everything appended to his rooms
        reaches this node. Raises Unavailable.
        """
        here = self.here.get(user_id)
        if here is None:
            here = self.here[user_id] = Here(self._clock.monotonic())
        here.since = self._clock.monotonic()
        await self._port.subscribe([user_id])
        room_ids = await self._projections.room_ids_of(user_id)
        await self._rooms.follow(room_ids, user_id)
        here.rooms.update(room_ids)
        return room_ids

    def joined(self, user_id: UserId, room_id: RoomId) -> None:
        here = self.here.get(user_id)
        if here is None:
            return
        here.rooms.add(room_id)
        followed = self._rooms.followed.get(room_id)
        if followed is not None:
            followed.users.add(user_id)

    def left(self, user_id: UserId, room_id: RoomId) -> None:
        here = self.here.get(user_id)
        if here is not None:
            here.rooms.discard(room_id)
        followed = self._rooms.followed.get(room_id)
        if followed is not None:
            followed.users.discard(user_id)

    async def sweep(self) -> None:
        """Forget who has had no socket here for a while."""
        before = self._clock.monotonic() - KEPT_S
        gone = []
        for user_id, here in self.here.items():
            if self._local.online(user_id):
                here.since = self._clock.monotonic()
            elif here.since < before:
                gone.append(user_id)
        for user_id in gone:
            for room_id in self.here.pop(user_id).rooms:
                followed = self._rooms.followed.get(room_id)
                if followed is not None:
                    followed.users.discard(user_id)
        if gone:
            await self._port.unsubscribe(gone)
            back = [user_id for user_id in gone if user_id in self.here]
            if back:  # came while we waited
                await self._port.subscribe(back)
        await self._rooms.unfollow_empty()

    # ---- what other nodes say of them ------------------------------------------------------------

    def heard(self, channel: str, data: bytes) -> None:
        user_id = UserId(channel)
        if user_id not in self.here:
            return
        try:
            frame = read_user_frame(data)
        except msgspec.DecodeError:
            log.warning("frame.unknown", user_id=user_id)
            return
        match frame:
            case ToUser(name, payload, ephemeral):
                self._local.to_users([user_id], name, msgspec.Raw(payload), ephemeral=ephemeral)
            case Admitted(room_id, after):
                self.admit(user_id, RoomId(room_id), Seq(after))
            case ReaderIn(room_id):
                self._tasks.start(self.let_reader_in(user_id, RoomId(room_id)), "reader_in")
            case ReaderOut(room_id, reason):
                self._tasks.start(self._let_out(user_id, RoomId(room_id), reason), "reader_out")
            case Blocked(by_id, blocked_id, on):
                self._block_changed(UserId(by_id), UserId(blocked_id), on)

    def admit(self, user_id: UserId, room_id: RoomId, after: Seq) -> None:
        """He was let into a room. Where others here hear it already, its own log says so."""
        here = self.here.get(user_id)
        if here is None or room_id in here.rooms:
            return
        if room_id in self._rooms.followed:
            self._rooms.followed[room_id].users.add(user_id)
            self._rooms.catch_up(room_id)
        else:
            work = self._rooms.follow_from(room_id, user_id, after)
            self._tasks.start(work, "follow")

    async def let_reader_in(self, user_id: UserId, room_id: RoomId) -> None:
        try:
            await self._rooms.follow([room_id], user_id)
            state = await self._teller.state(room_id)
            found = await self._projections.membership(room_id, user_id)
        except AppError as fault:
            log.warning("reader.not_let_in", room_id=room_id, error=fault.code)
            return
        here = self.here.get(user_id)
        if found is None or here is None or room_id in here.rooms:
            return
        view = view_room(state.row, head_of(state), found.member, member_count=found.member_count)
        self._announcer.came(user_id, view)
        self._local.join(user_id, room_id)

    async def _let_out(self, user_id: UserId, room_id: RoomId, reason: str) -> None:
        here = self.here.get(user_id)
        if here is None or room_id not in here.rooms:
            return
        try:
            state = await self._teller.state(room_id)
            if await self._projections.membership(room_id, user_id) is not None:
                return
        except AppError as fault:
            log.warning("reader.not_let_out", room_id=room_id, error=fault.code)
            return
        if room_id in here.rooms:
            self._announcer.went(state, user_id, reason)

    # ---- looking for what nobody said ------------------------------------------------------------

    async def compare(self, only: Collection[RoomId] | None = None) -> None:
        """Look at the memberships of those who are here. Raises Unavailable."""
        for chunk in chunks(list(self.here)):  # type: ignore[arg-type]
            users = [UserId(user_id) for user_id in chunk]
            before = {
                user_id: set(here.rooms)
                for user_id in users
                if (here := self.here.get(user_id)) is not None
            }
            found = await self._projections.rooms_of(users, among=only)
            for user_id, had in before.items():
                has = found.get(user_id, set())
                for room_id in has - had:
                    await self._missed_in(user_id, room_id)
                for room_id in (had if only is None else had & set(only)) - has:
                    await self._missed_out(user_id, room_id)

    async def _missed_in(self, user_id: UserId, room_id: RoomId) -> None:
        found = await self._projections.membership(room_id, user_id)
        here = self.here.get(user_id)
        if found is None or here is None or room_id in here.rooms:
            return
        if found.room.kind == "broadcast" and found.member.role == "member":
            await self.let_reader_in(user_id, room_id)
        else:
            self.admit(user_id, room_id, Seq(max(0, found.member.joined_seq - 1)))

    async def _missed_out(self, user_id: UserId, room_id: RoomId) -> None:
        """His own member event tells it, if he was no reader: read it first."""
        reading = self._rooms.catch_up(room_id)
        if reading is not None:
            await reading
        await self._let_out(user_id, room_id, "removed")
