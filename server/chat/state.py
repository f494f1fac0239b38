"""A room in memory: its settings, head and members as of the head, loaded and repaired from the
log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from server.chat.fold import advance, fold
from server.kernel.errors import AppError, Forbidden, NotFound
from server.kernel.ids import LogId, RoomId, Seq, UserId
from storage.api import Change, MemberRow, PutGone, Role, RoomRow, Store

RANK: dict[Role, int] = {"member": 0, "admin": 1, "owner": 2}
REPAIR_PAGE = 500


@dataclass(slots=True)
class RoomState:
    """What the writer of a room knows. Only the writer (and receipts) change it.

    `members`: by the log, without a broadcast room's readers. `pending`: changes folded but not yet
    applied, each with the seq of its event, of the events applied+1..head. `blocked`: in a direct
    room, whom the other one blocked.
    """

    room_id: RoomId
    log_id: LogId
    row: RoomRow
    head: Seq
    first_seq: Seq
    n: int
    applied: Seq
    members: dict[UserId, MemberRow]
    pending: list[tuple[Seq, Change]] = field(default_factory=list)
    blocked: set[UserId] = field(default_factory=set)

    @property
    def broadcast(self) -> bool:
        return self.row.kind == "broadcast"

    def stranger(self) -> AppError:
        """What a non-member hears: a public room may be known, another not."""
        if self.row.visibility == "public":
            return Forbidden("Join this room first.")
        return no_room()

    def first_visible(self, member: MemberRow) -> Seq:
        if self.row.history == "joined":
            return max(self.first_seq, member.joined_seq)
        return self.first_seq

    def take(self, changes: Iterable[Change]) -> None:
        """Let memory follow changes that are being stored."""
        for change in changes:
            row = advance(self.members, change)
            if row is not None:
                self.row = row


def no_room() -> NotFound:
    return NotFound("There is no such room.", field="room_id")


async def load_state(store: Store, room_id: RoomId) -> RoomState:
    """Read a room and fold what its projection has not seen.

    Raises:
        NotFound: there is no such room, or only its empty log.
    """
    head = (await store.log.heads([room_id])).get(room_id)
    if head is None or head.head == 0:
        raise no_room()
    applied = (await store.projections.applied([room_id])).get(room_id, Seq(0))
    row = await store.projections.room(room_id) if applied else None
    members = {m.user_id: m for m in await store.projections.all_members(room_id)}
    if applied == 0 or row is None:
        applied, row, members = Seq(0), None, {}
    pending: list[tuple[Seq, Change]] = []
    at, end = applied, Seq(head.head + 1)
    while at < head.head:
        events, _ = await store.log.read(room_id, after=at, before=end, limit=REPAIR_PAGE)
        for event in events:
            changes = fold(row, members, event)
            for change in changes:
                row = advance(members, change) or row
            pending.extend((event.seq, change) for change in changes)
        at = events[-1].seq if events else head.head
    pending.extend([pair for pair in pending if isinstance(pair[1], PutGone)])
    if row is None:
        raise no_room()
    state = RoomState(
        room_id, head.log_id, row, head.head, head.first_seq, head.n, applied, members, pending
    )
    state.blocked = await blocked_in(store, state)
    return state


async def blocked_in(store: Store, state: RoomState) -> set[UserId]:
    """In a direct room: whom the other one blocked."""
    if state.row.kind != "direct" or len(state.members) != 2:
        return set()
    a, b = state.members
    blocked = set()
    if await store.accounts.blocked(a, b):
        blocked.add(b)
    if await store.accounts.blocked(b, a):
        blocked.add(a)
    return blocked


async def member_of(store: Store, state: RoomState, user_id: UserId) -> MemberRow:
    """The user's membership, by log or as a broadcast room's reader.

    Raises:
        NotFound: he is not in (Forbidden in a public room).
    """
    member = state.members.get(user_id)
    if member is not None:
        return member
    if state.broadcast:
        found = await store.projections.membership(state.room_id, user_id)
        if found is not None:
            return found.member
    raise state.stranger()


def check_may_write(state: RoomState, user_id: UserId) -> None:
    """A member may write here. Readers of a broadcast room and the blocked may not.

    Raises:
        Forbidden: he may not.
    """
    if state.broadcast and user_id not in state.members:
        raise Forbidden("Only the owner and admins write in this room.")
    if user_id in state.blocked:
        raise Forbidden("This person does not take messages from you.")
