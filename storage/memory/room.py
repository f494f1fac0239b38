"""What is derived from one room's log, and how each change alters it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import (
    Change,
    DropMember,
    DropReaction,
    MemberRow,
    Membership,
    MessageState,
    PutEdit,
    PutGone,
    PutMember,
    PutMention,
    PutReaction,
    PutReceipt,
    PutReply,
    PutRoom,
    Reaction,
    RoomRow,
    ThreadSummary,
)

NOTHING = Seq(0)


@dataclass
class RoomState:
    """`readers` subscribed to a broadcast room; `receipts` are (read, delivered) maxima."""

    room_id: RoomId
    applied_seq: Seq = NOTHING
    row: RoomRow | None = None
    members: dict[UserId, MemberRow] = field(default_factory=dict)
    readers: dict[UserId, MemberRow] = field(default_factory=dict)
    receipts: dict[UserId, tuple[Seq, Seq]] = field(default_factory=dict)
    mentions: set[PutMention] = field(default_factory=set)
    edits: dict[Seq, PutEdit] = field(default_factory=dict)
    gone: dict[Seq, PutGone] = field(default_factory=dict)
    reactions: dict[tuple[Seq, UserId, str], Seq] = field(default_factory=dict)
    replies: dict[Seq, set[Seq]] = field(default_factory=dict)

    def clear(self) -> None:
        fresh = RoomState(self.room_id, readers=self.readers, receipts=self.receipts)
        self.__dict__.update(fresh.__dict__)

    def apply(self, change: Change) -> None:
        match change:
            case PutRoom(room):
                self.row = room
            case PutMember(member):
                self._put_member(member)
            case DropMember(user_id):
                self.members.pop(user_id, None)
            case PutMention():
                self.mentions.add(change)
            case PutEdit(seq):
                if seq not in self.edits or self.edits[seq].edited_seq < change.edited_seq:
                    self.edits[seq] = change
            case PutGone():
                self._put_gone(change)
            case PutReaction(seq, user_id, emoji, event_seq):
                self.reactions[seq, user_id, emoji] = event_seq
            case DropReaction(seq, user_id, emoji):
                self.reactions.pop((seq, user_id, emoji), None)
            case PutReply(thread_seq, seq):
                self.replies.setdefault(thread_seq, set()).add(seq)
            case PutReceipt():
                self.receive(change)
            case _:
                assert_never(change)

    def receive(self, receipt: PutReceipt) -> None:
        read, delivered = self.receipts.get(receipt.user_id, (Seq(0), Seq(0)))
        self.receipts[receipt.user_id] = (
            max(read, receipt.read_seq),
            max(delivered, receipt.delivered_seq),
        )

    def everybody(self) -> set[UserId]:
        return self.members.keys() | self.readers.keys()

    def find(self, user_id: UserId) -> MemberRow | None:
        member = self.members.get(user_id) or self.readers.get(user_id)
        if member is None:
            return None
        read, delivered = self.receipts.get(user_id, (Seq(0), Seq(0)))
        return msgspec.structs.replace(member, read_seq=read, delivered_seq=delivered)

    def membership(self, user_id: UserId) -> Membership | None:
        member = self.find(user_id)
        if member is None or self.row is None:
            return None
        mentions = {
            mention.seq
            for mention in self.mentions
            if mention.user_id in (user_id, "*")
            and mention.sender_id != user_id
            and mention.seq > member.read_seq
        }
        peers = tuple(sorted(self.members)) if self.row.kind == "direct" else ()
        return Membership(
            self.row, member, len(mentions), len(self.everybody()), peers, self.applied_seq
        )

    def message(self, seq: Seq, viewer: UserId) -> MessageState:
        gone, edit = self.gone.get(seq), self.edits.get(seq)
        replies = self.replies.get(seq)
        return MessageState(
            content=edit.content if edit else None,
            edited_seq=edit.edited_seq if edit else None,
            gone=gone.gone if gone else None,
            reactions=self._reactions(seq, viewer),
            thread=ThreadSummary(len(replies), max(replies)) if replies else None,
        )

    def _reactions(self, seq: Seq, viewer: UserId) -> tuple[Reaction, ...]:
        """By emoji, in the order in which each was first added."""
        found = ((at, *key) for key, at in self.reactions.items() if key[0] == seq)
        counts: dict[str, list[UserId]] = {}
        for _, _, who, emoji in sorted(found):
            counts.setdefault(emoji, []).append(who)
        return tuple(Reaction(emoji, len(who), viewer in who) for emoji, who in counts.items())

    def _put_member(self, member: MemberRow) -> None:
        """A later member event ends a subscription; an older one (folded again) does not."""
        reader = self.readers.get(member.user_id)
        if reader is not None and reader.joined_seq < member.joined_seq:
            del self.readers[member.user_id]
        there = self.members.get(member.user_id)
        self.members[member.user_id] = (
            member if there is None else msgspec.structs.replace(there, role=member.role)
        )
        self.receive(PutReceipt(member.user_id, member.read_seq, member.delivered_seq))

    def _put_gone(self, change: PutGone) -> None:
        self.gone[change.seq] = change
        self.edits.pop(change.seq, None)
        self.mentions = {mention for mention in self.mentions if mention.seq != change.seq}
        self.reactions = {key: at for key, at in self.reactions.items() if key[0] != change.seq}
