"""Read and delivered marks: maxima of each member, told to the others at most once a second."""

from __future__ import annotations

import msgspec

from server.chat.fold import with_receipt
from server.chat.shapes import ReceiptView, SetReceipt
from server.chat.state import RoomState, member_of
from server.kernel.clock import Clock
from server.kernel.ids import RoomId, Seq, UserId
from server.kernel.outlet import Outlet
from storage.api import MemberRow, PutReceipt, Store

MAX_MEMBERS = 256
"""Rooms larger than this do not tell receipts (PROTOCOL section 2)."""
EVERY_S = 1.0


class Receipts:
    """Stores first, then tells. `tick` tells what had to wait for its second."""

    def __init__(self, store: Store, outlet: Outlet, clock: Clock) -> None:
        self._store = store
        self._outlet = outlet
        self._clock = clock
        self._told_at: dict[RoomId, float] = {}
        self._waiting: dict[RoomId, dict[UserId, MemberRow]] = {}

    async def set(self, state: RoomState, user_id: UserId, cmd: SetReceipt) -> ReceiptView:
        old = await member_of(self._store, state, user_id)
        read = min(cmd.read_seq, state.head)
        delivered = max(min(cmd.delivered_seq, state.head), read)
        receipt = PutReceipt(user_id, Seq(read), Seq(delivered))
        new = with_receipt(old, receipt)
        if new == old:
            return ReceiptView(old.delivered_seq, old.read_seq)
        await self._store.projections.set_receipts(state.room_id, [receipt])
        there = state.members.get(user_id)
        if there is not None:
            new = state.members[user_id] = with_receipt(there, receipt)
        self._tell(state, new)
        return ReceiptView(new.delivered_seq, new.read_seq)

    def tick(self) -> None:
        now = self._clock.monotonic()
        for room_id in [r for r in self._waiting if now - self._told_at.get(r, 0.0) >= EVERY_S]:
            self._flush(room_id, now)
        for room_id in [r for r, at in self._told_at.items() if now - at >= 2 * EVERY_S]:
            del self._told_at[room_id]

    def _tell(self, state: RoomState, member: MemberRow) -> None:
        own = _payload(member)
        self._outlet.to_users([member.user_id], "room:receipt", own, ephemeral=True)
        if len(state.members) > MAX_MEMBERS or state.broadcast:
            return
        self._waiting.setdefault(state.room_id, {})[member.user_id] = member
        now = self._clock.monotonic()
        told_at = self._told_at.get(state.room_id)
        if told_at is None or now - told_at >= EVERY_S:
            self._flush(state.room_id, now)

    def _flush(self, room_id: RoomId, now: float) -> None:
        self._told_at[room_id] = now
        for user_id, member in self._waiting.pop(room_id, {}).items():
            payload = _payload(member)
            self._outlet.to_room(room_id, "room:receipt", payload, without=user_id, ephemeral=True)


class ReceiptEvent(msgspec.Struct, frozen=True):
    room_id: str
    user_id: str
    delivered_seq: int
    read_seq: int


def _payload(member: MemberRow) -> ReceiptEvent:
    return ReceiptEvent(member.room_id, member.user_id, member.delivered_seq, member.read_seq)
