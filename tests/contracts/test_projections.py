"""What `storage.api.Projections` promises, over all implementations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from server.kernel.ids import RoomId, Seq, UserId
from storage.api import (
    Change,
    DropMember,
    DropReaction,
    MemberRow,
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
    Store,
    ThreadSummary,
)
from tests.support.stores import ALICE, BOB, CAROL, GARDEN, batch, event, fill

KITCHEN = RoomId("kitchen")


def room(room_id: RoomId = GARDEN, **given: Any) -> RoomRow:
    fields: dict[str, Any] = {
        "id": room_id,
        "kind": "group",
        "visibility": "private",
        "history": "all",
        "e2ee": False,
        "created_at": 5,
        "name": "Garden",
    }
    return RoomRow(**fields | given)


def member(user_id: UserId, room_id: RoomId = GARDEN, **given: Any) -> MemberRow:
    fields: dict[str, Any] = {"role": "member", "joined_seq": Seq(2), "joined_at": 7}
    return MemberRow(room_id, user_id, **fields | given)


async def applied(store: Store, *changes: Change, room_id: RoomId = GARDEN) -> None:
    """A log of three events whose fold is `changes`."""
    await fill(store, *(event(seq, room_id=room_id) for seq in (1, 2, 3)), room_id=room_id)
    await apply(store, *changes, room_id=room_id, to_seq=3, from_seq=0)


async def apply(
    store: Store, *changes: Change, room_id: RoomId = GARDEN, from_seq: int = 3, to_seq: int = 3
) -> None:
    done = await store.projections.apply(
        room_id, from_seq=Seq(from_seq), to_seq=Seq(to_seq), changes=changes
    )
    assert done == to_seq


async def test_applying_moves_applied_seq(store: Store) -> None:
    await applied(store, PutRoom(room()))

    assert await store.projections.applied([GARDEN, KITCHEN]) == {GARDEN: 3, KITCHEN: 0}
    assert await store.projections.room(GARDEN) == room()


async def test_a_fold_that_does_not_start_at_applied_seq_changes_nothing(store: Store) -> None:
    await applied(store, PutRoom(room()))

    done = await store.projections.apply(
        GARDEN, from_seq=Seq(2), to_seq=Seq(3), changes=[PutRoom(room(name="Other"))]
    )

    assert done == 3
    assert await store.projections.room(GARDEN) == room()


async def test_a_fold_past_the_head_changes_nothing(store: Store) -> None:
    await applied(store)

    done = await store.projections.apply(
        GARDEN, from_seq=Seq(3), to_seq=Seq(4), changes=[PutRoom(room())]
    )

    assert done == 3
    assert await store.projections.room(GARDEN) is None


async def test_an_append_and_its_fold_go_together_in_one_turn(joint_store: Store) -> None:
    await fill(joint_store)

    appended = joint_store.log.append(batch(event(1)))
    folded = joint_store.projections.apply(
        GARDEN, from_seq=Seq(0), to_seq=Seq(1), changes=[PutRoom(room())]
    )

    assert (await appended, await folded) == (None, 1)


async def test_the_fold_of_a_refused_append_changes_nothing(joint_store: Store) -> None:
    await applied(joint_store)

    appended = joint_store.log.append(batch(event(3)))
    folded = joint_store.projections.apply(
        GARDEN, from_seq=Seq(3), to_seq=Seq(4), changes=[PutRoom(room())]
    )

    assert await appended is not None
    assert await folded == 3


async def test_an_append_whose_fold_was_lost_shows_in_applied(store: Store) -> None:
    await applied(store)

    await store.log.append(batch(event(4)))

    head = (await store.log.heads([GARDEN]))[GARDEN].head
    assert (await store.projections.applied([GARDEN]))[GARDEN] == 3 < head


async def test_a_member_has_the_room_with_his_marks(store: Store) -> None:
    await applied(store, PutRoom(room()), PutMember(member(ALICE)), PutMember(member(BOB)))
    await apply(store, PutReceipt(ALICE, Seq(2), Seq(3)))

    found = await store.projections.membership(GARDEN, ALICE)

    assert found is not None
    assert found.room == room()
    assert found.member == member(ALICE, read_seq=Seq(2), delivered_seq=Seq(3))
    assert (found.mentions, found.member_count, found.peers) == (0, 2, ())


async def test_a_stranger_has_no_membership(store: Store) -> None:
    await applied(store, PutRoom(room()), PutMember(member(ALICE)))

    assert await store.projections.membership(GARDEN, BOB) is None
    assert await store.projections.membership(KITCHEN, ALICE) is None


async def test_a_direct_room_tells_its_two_people(store: Store) -> None:
    await applied(
        store, PutRoom(room(kind="direct")), PutMember(member(BOB)), PutMember(member(ALICE))
    )

    found = await store.projections.membership(GARDEN, ALICE)

    assert found is not None
    assert found.peers == (ALICE, BOB)


async def test_a_member_put_again_changes_his_role_and_keeps_the_rest(store: Store) -> None:
    await applied(store, PutMember(member(ALICE)), PutReceipt(ALICE, Seq(2)))

    await apply(store, PutMember(member(ALICE, role="admin", joined_seq=Seq(3), joined_at=9)))

    assert await store.projections.members(GARDEN) == [member(ALICE, role="admin", read_seq=Seq(2))]


async def test_a_dropped_member_is_gone(store: Store) -> None:
    await applied(store, PutMember(member(ALICE)), PutMember(member(BOB)))

    await apply(store, DropMember(BOB), DropMember(CAROL))

    assert await store.projections.members(GARDEN) == [member(ALICE)]
    assert await store.projections.room_ids_of(BOB) == []


async def test_receipts_only_grow(store: Store) -> None:
    await applied(store, PutMember(member(ALICE)))

    await store.projections.set_receipts(GARDEN, [PutReceipt(ALICE, Seq(3), Seq(1))])
    await store.projections.set_receipts(
        GARDEN, [PutReceipt(ALICE, Seq(1), Seq(2)), PutReceipt(BOB, Seq(1))]
    )

    assert await store.projections.members(GARDEN) == [
        member(ALICE, read_seq=Seq(3), delivered_seq=Seq(2))
    ]


async def test_mentions_count_for_those_they_name_until_they_are_read(store: Store) -> None:
    await applied(
        store,
        PutRoom(room()),
        *(PutMember(member(who)) for who in (ALICE, BOB, CAROL)),
        PutMention(BOB, ALICE, Seq(1)),
        PutMention(UserId("*"), ALICE, Seq(2)),
        PutMention(BOB, ALICE, Seq(2)),
        PutReceipt(CAROL, Seq(2)),
    )

    found = [await store.projections.membership(GARDEN, who) for who in (ALICE, BOB, CAROL)]

    assert [membership.mentions for membership in found if membership] == [0, 2, 0]


async def test_memberships_are_paged_by_room_id(store: Store) -> None:
    for name in ("c", "a", "b"):
        here = RoomId(name)
        await applied(store, PutRoom(room(here)), PutMember(member(ALICE, here)), room_id=here)

    first = await store.projections.memberships(ALICE, limit=2)
    rest = await store.projections.memberships(ALICE, after=first[-1].room.id)
    only = await store.projections.memberships(ALICE, only=[RoomId("c"), RoomId("x")])

    assert [m.room.id for m in first] == ["a", "b"]
    assert [m.room.id for m in rest] == ["c"]
    assert [m.room.id for m in only] == ["c"]
    assert await store.projections.room_ids_of(ALICE) == ["a", "b", "c"]


async def test_members_are_paged_by_user_id(store: Store) -> None:
    await applied(store, *(PutMember(member(who)) for who in (CAROL, ALICE, BOB)))

    first = await store.projections.members(GARDEN, limit=2)
    rest = await store.projections.members(GARDEN, after=BOB)

    assert [row.user_id for row in first] == [ALICE, BOB]
    assert [row.user_id for row in rest] == [CAROL]
    assert await store.projections.member_count(GARDEN) == 3
    assert await store.projections.member_count(KITCHEN) == 0


async def test_readers_of_a_broadcast_room_are_members_outside_the_log(store: Store) -> None:
    await applied(store, PutRoom(room(kind="broadcast")), PutMember(member(ALICE, role="owner")))

    assert await store.projections.subscribe(member(BOB, joined_seq=Seq(3))) is True
    assert await store.projections.subscribe(member(BOB, joined_seq=Seq(3))) is False
    assert await store.projections.subscribe(member(ALICE)) is False

    everybody = await store.projections.members(GARDEN)
    assert [row.user_id for row in everybody] == [ALICE, BOB]
    assert [row.user_id for row in await store.projections.all_members(GARDEN)] == [ALICE]
    assert await store.projections.member_count(GARDEN) == 2
    assert await store.projections.room_ids_of(BOB) == [GARDEN]
    found = await store.projections.membership(GARDEN, BOB)
    assert found is not None
    assert (found.member, found.member_count) == (member(BOB, joined_seq=Seq(3)), 2)


async def test_a_reader_may_leave_once(store: Store) -> None:
    await applied(store, PutMember(member(ALICE)))
    await store.projections.subscribe(member(BOB))

    left = [await store.projections.unsubscribe(GARDEN, who) for who in (BOB, BOB, ALICE)]

    assert left == [True, False, False]
    assert [row.user_id for row in await store.projections.members(GARDEN)] == [ALICE]


async def test_a_reader_who_becomes_a_member_is_counted_once(store: Store) -> None:
    await applied(store)
    await store.projections.subscribe(member(BOB, joined_seq=Seq(1)))

    await apply(store, PutMember(member(BOB, role="admin", joined_seq=Seq(3))))

    assert await store.projections.member_count(GARDEN) == 1
    assert (await store.projections.members(GARDEN))[0].role == "admin"
    await apply(store, DropMember(BOB))
    assert await store.projections.members(GARDEN) == []


async def test_clearing_forgets_what_is_derived_but_not_receipts_and_readers(store: Store) -> None:
    await applied(
        store,
        PutRoom(room()),
        PutMember(member(ALICE)),
        PutMention(ALICE, BOB, Seq(3)),
        PutReaction(Seq(1), ALICE, "👍", Seq(2)),
        PutReply(Seq(1), Seq(2)),
        PutReceipt(ALICE, Seq(2), Seq(2)),
    )
    await store.projections.subscribe(member(BOB))

    await store.projections.clear(GARDEN)

    assert await store.projections.applied([GARDEN]) == {GARDEN: 0}
    assert await store.projections.room(GARDEN) is None
    assert await store.projections.members(GARDEN) == [member(BOB)]
    assert await store.projections.states(GARDEN, [Seq(1)], ALICE) == {}
    await apply(store, PutRoom(room()), PutMember(member(ALICE)), from_seq=0)
    found = await store.projections.membership(GARDEN, ALICE)
    assert found is not None
    assert (found.member.read_seq, found.mentions) == (2, 0)


async def test_folding_twice_gives_the_same(store: Store) -> None:
    changes: tuple[Change, ...] = (
        PutRoom(room()),
        PutMember(member(ALICE)),
        PutMention(ALICE, BOB, Seq(2)),
        PutReaction(Seq(1), BOB, "👍", Seq(2)),
        PutReply(Seq(1), Seq(3)),
        PutEdit(Seq(1), msgspec.Raw(b'{"body":"new"}'), Seq(3)),
    )
    await applied(store, *changes)
    once = await store.projections.states(GARDEN, [Seq(1)], ALICE)

    await apply(store, *changes)

    assert await store.projections.states(GARDEN, [Seq(1)], ALICE) == once
    found = await store.projections.membership(GARDEN, ALICE)
    assert found is not None
    assert (found.mentions, found.member_count) == (1, 1)


async def test_public_rooms_are_found_by_a_part_of_their_name(store: Store) -> None:
    for name, visibility in (("Ärger", "public"), ("Bärenpark", "public"), ("bär", "private")):
        here = RoomId(name)
        row = room(here, name=name, visibility=visibility)
        await applied(store, PutRoom(row), PutMember(member(ALICE, here)), room_id=here)

    found = await store.projections.public_rooms("BÄR")
    every = await store.projections.public_rooms("", limit=1)
    rest = await store.projections.public_rooms("", after=every[0][0].id)

    assert [(row.name, count) for row, count in found] == [("Bärenpark", 1)]
    assert [row.name for row, _ in every + rest] == ["Bärenpark", "Ärger"]


async def test_two_people_have_one_direct_room(store: Store) -> None:
    first = await store.projections.claim_direct(ALICE, BOB, RoomId("one"))
    second = await store.projections.claim_direct(BOB, ALICE, RoomId("two"))
    other = await store.projections.claim_direct(ALICE, CAROL, RoomId("three"))

    assert (first, second, other) == ("one", "one", "three")


async def test_people_who_share_a_room_know_each_other_but_readers_do_not(store: Store) -> None:
    await applied(store, PutMember(member(ALICE)), PutMember(member(BOB)))
    await store.projections.subscribe(member(CAROL))

    shared = await store.projections.shares_room(ALICE, [BOB, CAROL, UserId("x")])

    assert shared == {BOB}
    assert await store.projections.shares_room(CAROL, [ALICE]) == set()
    assert await store.projections.roommates(ALICE) == [BOB]
    assert await store.projections.roommates(CAROL) == []


async def test_roommates_are_as_many_as_asked_for(store: Store) -> None:
    await applied(store, *(PutMember(member(UserId(name))) for name in "abcde"))

    assert await store.projections.roommates(UserId("c"), limit=2) == ["a", "b"]


async def test_messages_as_sent_have_no_state(store: Store) -> None:
    await applied(store)

    assert await store.projections.states(GARDEN, [Seq(1), Seq(9)], ALICE) == {}


async def test_the_newest_edit_is_what_a_message_reads(store: Store) -> None:
    new, old = msgspec.Raw(b'{"body":"new \\u00e9"}'), msgspec.Raw(b'{"body":"old"}')

    await applied(store, PutEdit(Seq(1), new, Seq(3)), PutEdit(Seq(1), old, Seq(2)))

    assert await store.projections.states(GARDEN, [Seq(1)], ALICE) == {
        1: MessageState(content=new, edited_seq=Seq(3))
    }


async def test_reactions_are_counted_by_emoji_in_the_order_they_came(store: Store) -> None:
    await applied(
        store,
        PutReaction(Seq(1), BOB, "👍", Seq(3)),
        PutReaction(Seq(1), ALICE, "🎉", Seq(2)),
        PutReaction(Seq(1), CAROL, "👍", Seq(4)),
        PutReaction(Seq(2), CAROL, "🎉", Seq(5)),
    )

    found = await store.projections.states(GARDEN, [Seq(1)], ALICE)

    assert found == {1: MessageState(reactions=(Reaction("🎉", 1, True), Reaction("👍", 2, False)))}


async def test_a_reaction_is_found_until_it_is_taken_back(store: Store) -> None:
    await applied(store, PutReaction(Seq(1), BOB, "👍", Seq(3)))

    there = await store.projections.reaction(GARDEN, Seq(1), BOB, "👍")
    await apply(store, DropReaction(Seq(1), BOB, "👍"))

    assert there == 3
    assert await store.projections.reaction(GARDEN, Seq(1), BOB, "👍") is None
    assert await store.projections.reaction(KITCHEN, Seq(1), BOB, "👍") is None
    assert await store.projections.states(GARDEN, [Seq(1)], ALICE) == {}


async def test_a_thread_tells_its_length_and_its_end(store: Store) -> None:
    await applied(store, PutReply(Seq(1), Seq(3)), PutReply(Seq(1), Seq(2)))

    assert await store.projections.states(GARDEN, [Seq(1)], ALICE) == {
        1: MessageState(thread=ThreadSummary(2, Seq(3)))
    }


@pytest.mark.parametrize("gone", ["deleted", "expired", "erased"])
async def test_what_is_gone_takes_everything_with_it(store: Store, gone: Any) -> None:
    await applied(
        store,
        PutRoom(room()),
        PutMember(member(BOB)),
        PutEdit(Seq(1), msgspec.Raw(b"{}"), Seq(2)),
        PutReaction(Seq(1), BOB, "👍", Seq(3)),
        PutMention(BOB, ALICE, Seq(1)),
    )

    await apply(store, PutGone(Seq(1), gone))

    assert await store.projections.states(GARDEN, [Seq(1)], ALICE) == {1: MessageState(gone=gone)}
    found = await store.projections.membership(GARDEN, BOB)
    assert found is not None
    assert found.mentions == 0


async def test_setting_receipts_tells_the_marks_as_they_are_then(store: Store) -> None:
    await applied(store, PutRoom(room()), PutMember(member(ALICE)))
    await store.projections.set_receipts(GARDEN, [PutReceipt(ALICE, Seq(3), Seq(3))])

    told = await store.projections.set_receipts(
        GARDEN, [PutReceipt(ALICE, Seq(1), Seq(9)), PutReceipt(BOB, Seq(1), Seq(1))]
    )

    assert told == [PutReceipt(ALICE, Seq(3), Seq(9))]


async def test_the_rooms_of_many_users_are_told_at_once(store: Store) -> None:
    await applied(store, PutRoom(room()), PutMember(member(ALICE)), PutMember(member(BOB)))
    kitchen = room(id=KITCHEN, kind="broadcast")
    await applied(store, PutRoom(kitchen), PutMember(member(BOB)), room_id=KITCHEN)
    await store.projections.subscribe(member(CAROL, room_id=KITCHEN))

    found = await store.projections.rooms_of([ALICE, BOB, CAROL, UserId("nobody")])
    some = await store.projections.rooms_of([ALICE, BOB], among=[KITCHEN])

    assert found == {ALICE: {GARDEN}, BOB: {GARDEN, KITCHEN}, CAROL: {KITCHEN}}
    assert some == {BOB: {KITCHEN}}


async def test_a_membership_tells_how_far_the_log_is_in_it(store: Store) -> None:
    await applied(store, PutRoom(room()), PutMember(member(ALICE)))

    found = await store.projections.membership(GARDEN, ALICE)

    assert found is not None
    assert found.applied == 3
