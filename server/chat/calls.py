"""The end of a call as an event of its room's log, and who may call whom."""

from __future__ import annotations

from typing import Any

import msgspec

from server.chat.commands import Command, Desk, Drafter, Plan, raw
from server.chat.state import RoomState, check_may_write
from server.kernel.errors import Forbidden
from server.kernel.events import Context
from server.kernel.ids import UserId


class CallEnd(msgspec.Struct, frozen=True):
    """`content`: of the event. What is told of one call is always the same."""

    call_id: str
    content: Any


class WriteCall(Command):
    """One `call` event for each call: its id is the client id, so that a second time is the first.

    `by`: who started it. He may have left the room since; the log has it all the same.
    """

    __slots__ = ("end",)

    def __init__(self, by: Context, end: CallEnd) -> None:
        super().__init__(by, end.call_id, end)
        self.end = end

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        sender = (self.by.user_id, self.by.device_id)
        content = raw(self.end.content)
        drafter = Drafter(state, desk.ids, now_ms)
        return Plan((drafter.draft("call", sender, content, client_id=self.end.call_id),))


def may_call(state: RoomState, user_id: UserId) -> bool:
    """Whoever may write here."""
    try:
        check_may_write(state, user_id)
    except Forbidden:
        return False
    return True
