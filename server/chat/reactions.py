"""Reactions: one emoji of one user on one message is there or not."""

from __future__ import annotations

from typing import Literal

from server.chat.commands import (
    Command,
    Desk,
    Drafter,
    Plan,
    check_not_gone,
    raw,
    visible_message,
)
from server.chat.shapes import React
from server.chat.state import RoomState, check_may_write, member_of
from server.kernel.errors import NotFound
from server.kernel.events import Context
from storage.api import Event


class ChangeReaction(Command):
    """Add or remove. What is there already answers the event that added it."""

    __slots__ = ("cmd", "op")

    def __init__(self, by: Context, cmd: React, op: Literal["add", "remove"]) -> None:
        super().__init__(by, cmd.client_id, cmd)
        self.cmd = cmd
        self.op = op
        self.digest = self.digest[:-1] + bytes([self.digest[-1] ^ (op == "add")])

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        check_may_write(state, self.by.user_id)
        target = await visible_message(state, member, self.cmd.seq, desk=desk, name="seq")
        check_not_gone(target, now_ms)
        there = await desk.store.projections.reaction(
            state.room_id, target.seq, self.by.user_id, self.cmd.emoji
        )
        if self.op == "add" and there is not None:
            rows = await desk.store.log.rows(state.room_id, [there])
            return Plan(claim=rows[there])
        if self.op == "remove" and there is None:
            raise NotFound("You have no such reaction on this message.", field="emoji")
        return Plan((self._draft(Drafter(state, desk.ids, now_ms), target),))

    def _draft(self, drafter: Drafter, target: Event) -> Event:
        return drafter.draft(
            "reaction",
            (self.by.user_id, self.by.device_id),
            raw({"emoji": self.cmd.emoji, "op": self.op}),
            client_id=self.cmd.client_id,
            target_seq=target.seq,
        )
