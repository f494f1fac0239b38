"""Projections in dictionaries, a `RoomState` for each room."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import Change, MemberRow, Membership, MessageState, PutReceipt, RoomRow
from storage.memory.gate import Gate, done
from storage.memory.log import MemoryLog
from storage.memory.room import RoomState


class MemoryProjections:
    """Implements `storage.api.Projections`."""

    def __init__(self, gate: Gate, log: MemoryLog) -> None:
        self._gate = gate
        self._log = log
        self._rooms: dict[RoomId, RoomState] = {}
        self._direct: dict[frozenset[UserId], RoomId] = {}

    def apply(
        self, room_id: RoomId, *, from_seq: Seq, to_seq: Seq, changes: Sequence[Change]
    ) -> asyncio.Future[Seq]:
        self._gate.check()
        state = self._state(room_id)
        if state.applied_seq != from_seq or self._log.head_of(room_id) < to_seq:
            return done(state.applied_seq)
        for change in changes:
            state.apply(change)
        state.applied_seq = to_seq
        return done(to_seq)

    async def applied(self, room_ids: Collection[RoomId]) -> dict[RoomId, Seq]:
        self._gate.check()
        return {
            room_id: self._rooms[room_id].applied_seq if room_id in self._rooms else Seq(0)
            for room_id in room_ids
        }

    async def clear(self, room_id: RoomId) -> None:
        self._gate.check()
        self._state(room_id).clear()

    async def room(self, room_id: RoomId) -> RoomRow | None:
        self._gate.check()
        return self._rooms[room_id].row if room_id in self._rooms else None

    async def membership(self, room_id: RoomId, user_id: UserId) -> Membership | None:
        self._gate.check()
        state = self._rooms.get(room_id)
        return None if state is None else state.membership(user_id)

    async def memberships(
        self,
        user_id: UserId,
        *,
        after: RoomId | None = None,
        limit: int = 500,
        only: Collection[RoomId] | None = None,
    ) -> list[Membership]:
        self._gate.check()
        wanted = sorted(self._rooms if only is None else set(only) & self._rooms.keys())
        found = (self._rooms[r].membership(user_id) for r in wanted if after is None or r > after)
        return [membership for membership in found if membership is not None][:limit]

    async def room_ids_of(self, user_id: UserId) -> list[RoomId]:
        self._gate.check()
        return sorted(r for r, state in self._rooms.items() if state.find(user_id) is not None)

    async def rooms_of(
        self, user_ids: Collection[UserId], *, among: Collection[RoomId] | None = None
    ) -> dict[UserId, set[RoomId]]:
        found = {user_id: set(await self.room_ids_of(user_id)) for user_id in user_ids}
        if among is not None:
            found = {user_id: rooms & set(among) for user_id, rooms in found.items()}
        return {user_id: rooms for user_id, rooms in found.items() if rooms}

    async def members(
        self, room_id: RoomId, *, after: UserId | None = None, limit: int = 500
    ) -> list[MemberRow]:
        self._gate.check()
        state = self._rooms.get(room_id)
        if state is None:
            return []
        ids = sorted(i for i in state.everybody() if after is None or i > after)
        return [member for i in ids[:limit] if (member := state.find(i)) is not None]

    async def all_members(self, room_id: RoomId) -> list[MemberRow]:
        self._gate.check()
        state = self._rooms.get(room_id)
        ids = [] if state is None else sorted(state.members)
        return [member for i in ids if state and (member := state.find(i)) is not None]

    async def member_count(self, room_id: RoomId) -> int:
        self._gate.check()
        return len(self._rooms[room_id].everybody()) if room_id in self._rooms else 0

    async def public_rooms(
        self, query: str, *, after: RoomId | None = None, limit: int = 50
    ) -> list[tuple[RoomRow, int]]:
        self._gate.check()
        found = []
        for room_id in sorted(r for r in self._rooms if after is None or r > after):
            state = self._rooms[room_id]
            if state.row is None or state.row.visibility != "public":
                continue
            if query.casefold() in (state.row.name or "").casefold():
                found.append((state.row, len(state.everybody())))
        return found[:limit]

    async def claim_direct(self, a: UserId, b: UserId, room_id: RoomId) -> RoomId:
        self._gate.check()
        return self._direct.setdefault(frozenset((a, b)), room_id)

    async def shares_room(self, user_id: UserId, others: Collection[UserId]) -> set[UserId]:
        self._gate.check()
        return {other for state in self._joined(user_id) for other in state.members} & set(others)

    async def roommates(self, user_id: UserId, limit: int = 1000) -> list[UserId]:
        self._gate.check()
        mates = {other for state in self._joined(user_id) for other in state.members}
        return sorted(mates - {user_id})[:limit]

    async def subscribe(self, member: MemberRow) -> bool:
        self._gate.check()
        state = self._state(member.room_id)
        if state.find(member.user_id) is not None:
            return False
        state.readers[member.user_id] = member
        state.receive(PutReceipt(member.user_id, member.read_seq, member.delivered_seq))
        return True

    async def unsubscribe(self, room_id: RoomId, user_id: UserId) -> bool:
        self._gate.check()
        return self._state(room_id).readers.pop(user_id, None) is not None

    async def set_receipts(
        self, room_id: RoomId, receipts: Sequence[PutReceipt]
    ) -> list[PutReceipt]:
        self._gate.check()
        state = self._state(room_id)
        for receipt in receipts:
            state.receive(receipt)
        found = [state.find(receipt.user_id) for receipt in receipts]
        return [PutReceipt(m.user_id, m.read_seq, m.delivered_seq) for m in found if m is not None]

    async def states(
        self, room_id: RoomId, seqs: Collection[Seq], viewer: UserId
    ) -> dict[Seq, MessageState]:
        self._gate.check()
        state = self._rooms.get(room_id)
        found = {} if state is None else {seq: state.message(seq, viewer) for seq in seqs}
        return {seq: message for seq, message in found.items() if message != MessageState()}

    async def reaction(self, room_id: RoomId, seq: Seq, user_id: UserId, emoji: str) -> Seq | None:
        self._gate.check()
        state = self._rooms.get(room_id)
        return None if state is None else state.reactions.get((seq, user_id, emoji))

    def _state(self, room_id: RoomId) -> RoomState:
        return self._rooms.setdefault(room_id, RoomState(room_id))

    def _joined(self, user_id: UserId) -> Iterator[RoomState]:
        return (state for state in self._rooms.values() if user_id in state.members)
