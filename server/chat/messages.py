"""Messages: send, edit, delete, each checked against the room as of the head."""

from __future__ import annotations

import msgspec
from msgspec import UnsetType

from server.chat.commands import (
    Command,
    Desk,
    Drafter,
    Plan,
    check_not_gone,
    check_rank,
    raw,
    stored_mentions,
    visible_message,
)
from server.chat.shapes import Content, DeleteMessage, EditMessage, SealedContent, SendMessage
from server.chat.state import RoomState, check_may_write, member_of
from server.kernel.errors import Forbidden, Invalid, NotFound, TooLarge
from server.kernel.events import Context
from server.kernel.ids import Seq
from storage.api import Event


def check_content(content: Content, text_chars: int) -> None:
    """Refuse what is no message of a clear room.

    Raises:
        Invalid: sealed, or blanks only. TooLarge: more than `text_chars` code points.
    """
    if isinstance(content, SealedContent):
        raise Invalid("This room is not encrypted: send text.", field="content")
    if len(content.body) > text_chars:
        text = "The text is too long: send it in parts or as a file."
        raise TooLarge(text, field="content.body", data={"text_chars": text_chars})
    if not content.body or content.body.isspace():
        raise Invalid("The text is empty.", field="content.body")


def check_send(cmd: SendMessage, text_chars: int) -> None:
    check_content(cmd.content, text_chars)
    if cmd.file_ids:
        raise NotFound("There is no such file.", field="file_ids")


class Send(Command):
    """A new message. Plain unless it refers to another one."""

    __slots__ = ("cmd", "content", "plain", "size")

    def __init__(self, by: Context, cmd: SendMessage) -> None:
        super().__init__(by, cmd.client_id, cmd)
        self.cmd = cmd
        self.content = raw(cmd.content)
        self.size = len(self.content) + 256
        self.plain = isinstance(cmd.reply_to, UnsetType) and isinstance(cmd.thread_seq, UnsetType)

    def plan_now(self, state: RoomState, drafter: Drafter) -> Event | None:
        """The event, or None when whether he is a reader must be looked up first."""
        if self.by.user_id not in state.members:
            if state.broadcast:
                self.plain = False
                return None
            raise state.stranger()
        if state.blocked:
            check_may_write(state, self.by.user_id)
        return self._draft(drafter)

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        check_may_write(state, self.by.user_id)
        if not isinstance(self.cmd.reply_to, UnsetType):
            await visible_message(state, member, self.cmd.reply_to, desk=desk, name="reply_to")
        if not isinstance(self.cmd.thread_seq, UnsetType):
            seq = self.cmd.thread_seq
            first = await visible_message(state, member, seq, desk=desk, name="thread_seq")
            if first.thread_seq is not None:
                text = "thread_seq must name the thread's first message."
                raise Invalid(text, field="thread_seq")
        return Plan((self._draft(Drafter(state, desk.ids, now_ms)),))

    def _draft(self, drafter: Drafter) -> Event:
        cmd = self.cmd
        lives_s = cmd.expires_in_s
        return drafter.draft(
            "message",
            (self.by.user_id, self.by.device_id),
            self.content,
            client_id=cmd.client_id,
            reply_to=None if isinstance(cmd.reply_to, UnsetType) else cmd.reply_to,
            thread_seq=None if isinstance(cmd.thread_seq, UnsetType) else cmd.thread_seq,
            mentions=stored_mentions(cmd.mentions),
            expires_at=None if isinstance(lives_s, UnsetType) else drafter.now_ms + lives_s * 1000,
        )


class Edit(Command):
    """New content for one's own message."""

    __slots__ = ("cmd",)

    def __init__(self, by: Context, cmd: EditMessage) -> None:
        super().__init__(by, cmd.client_id, cmd)
        self.cmd = cmd

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        check_may_write(state, self.by.user_id)
        target = await visible_message(state, member, self.cmd.seq, desk=desk, name="seq")
        if target.sender_id != self.by.user_id:
            raise Forbidden("Only its author may edit a message.")
        check_not_gone(target, now_ms)
        event = Drafter(state, desk.ids, now_ms).draft(
            "edit",
            (self.by.user_id, self.by.device_id),
            raw(self.cmd.content),
            client_id=self.cmd.client_id,
            target_seq=target.seq,
            mentions=stored_mentions(self.cmd.mentions),
            expires_at=target.expires_at,
        )
        return Plan((event,))


class Delete(Command):
    """Blank a message and its edits."""

    __slots__ = ("cmd",)

    def __init__(self, by: Context, cmd: DeleteMessage) -> None:
        super().__init__(by, cmd.client_id, cmd)
        self.cmd = cmd

    async def plan(self, state: RoomState, desk: Desk, now_ms: int) -> Plan:
        member = await member_of(desk.store, state, self.by.user_id)
        check_may_write(state, self.by.user_id)
        target = await visible_message(state, member, self.cmd.seq, desk=desk, name="seq")
        if target.sender_id != self.by.user_id:
            check_rank(member, "owner", "admin")
        check_not_gone(target, now_ms)
        event = Drafter(state, desk.ids, now_ms).draft(
            "delete",
            (self.by.user_id, self.by.device_id),
            EMPTY,
            client_id=self.cmd.client_id,
            target_seq=target.seq,
        )
        blanks = await with_edits(state, target.seq, desk)
        return Plan((event,), blanks=tuple((seq, "deleted") for seq in blanks))


EMPTY = msgspec.Raw(b"{}")


async def with_edits(state: RoomState, seq: Seq, desk: Desk) -> list[Seq]:
    """A message and the edits of it: what goes together."""
    return [seq, *await desk.store.log.targeting(state.room_id, seq, "edit")]
