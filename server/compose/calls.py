"""What calls need of chat: who is in a room, where their ends are written, who leaves."""

from __future__ import annotations

from server.chat.calls import CallEnd, WriteCall, may_call
from server.chat.state import member_of
from server.chat.wiring import Chat
from server.kernel.events import Context
from server.kernel.ids import RoomId, SessionId, UserId
from server.kernel.outlet import Outlet
from signaling.inputs import RoomFacts
from signaling.service import Calls
from signaling.views import CallRecord


class ChatRooms:
    """Implements `signaling.ports.Rooms`."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def facts(self, room_id: RoomId, user_id: UserId, *, rings_up_to: int) -> RoomFacts:
        state = await self._chat.room(room_id)
        member = await member_of(self._chat.store, state, user_id)
        rings = not state.broadcast and len(state.members) <= rings_up_to
        members = tuple(state.members) if rings else None
        direct = state.row.kind == "direct"
        return RoomFacts(room_id, direct, member.role, members, may_call(state, user_id))


class ChatCallLog:
    """Implements `signaling.ports.CallLog`."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def append(self, record: CallRecord) -> None:
        by = Context(record.started_by, record.device_id, SessionId(""))
        end = CallEnd(record.call_id, record.content)
        await self._chat.carry_out(record.room_id, WriteCall(by, end))


class LeavingOutlet:
    """The outlet that chat is given: who is out of a room is out of its call, who comes into one
    hears of it. `calls` is set once they are made.
    """

    def __init__(self, outlet: Outlet) -> None:
        self.calls: Calls | None = None
        self._join, self._leave = outlet.join, outlet.leave
        self.room_event = outlet.room_event
        self.to_room = outlet.to_room
        self.flush = outlet.flush
        self.to_users = outlet.to_users
        self.to_socket = outlet.to_socket
        self.end_sessions = outlet.end_sessions
        self.online = outlet.online

    def join(self, user_id: UserId, room_id: RoomId) -> None:
        self._join(user_id, room_id)
        if self.calls is not None:
            self.calls.member_in(room_id, user_id)

    def leave(self, user_id: UserId, room_id: RoomId) -> None:
        self._leave(user_id, room_id)
        if self.calls is not None:
            self.calls.member_out(room_id, user_id)
