"""What `storage.api.RoomLog` promises, over all implementations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from server.kernel.errors import Unavailable
from server.kernel.ids import EventId, LogId, RoomId, Seq, UserId
from storage.api import Batch, LogHead, Mentions, Refused, Store
from tests.support.stores import (
    ALICE,
    BOB,
    GARDEN,
    LOG_STORES,
    batch,
    body,
    claim,
    event,
    fill,
    open_store,
    seqs,
)

KITCHEN = RoomId("kitchen")


@pytest.fixture(params=LOG_STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(request.param, tmp_path) as opened:
        yield opened


async def test_a_log_is_made_once(store: Store) -> None:
    assert await store.log.create(GARDEN, LogId("log-1")) is True

    assert await store.log.create(GARDEN, LogId("log-2")) is False

    assert await store.log.heads([GARDEN]) == {GARDEN: LogHead(LogId("log-1"), Seq(0), Seq(1), 0)}


async def test_rooms_without_a_log_have_no_head(store: Store) -> None:
    await fill(store)

    assert set(await store.log.heads([GARDEN, KITCHEN])) == {GARDEN}
    assert await store.log.heads([]) == {}


async def test_an_append_moves_the_head(store: Store) -> None:
    await fill(store, event(1), event(2, n=1))

    assert await store.log.heads([GARDEN]) == {GARDEN: LogHead(LogId("log-1"), Seq(2), Seq(1), 1)}


async def test_what_was_appended_is_read_back_whole(store: Store) -> None:
    rich = event(
        1,
        content={"type": "text", "body": 'ünï "quoted" \\ \n 😀 \u0001', "more": [1.5, None, True]},
        target_seq=Seq(7),
        reply_to=Seq(3),
        thread_seq=Seq(4),
        mentions=Mentions(("bob", "carol"), True),
        file_ids=("f1", "f2"),
        expires_at=5_000,
    )

    await fill(store, rich, event(2, client_id=None, type="room"))

    assert await store.log.read(GARDEN, limit=9) == (
        [rich, event(2, client_id=None, type="room")],
        False,
    )


async def test_content_keeps_its_bytes(store: Store) -> None:
    raw = msgspec.Raw(b'{ "b" : 1.0,"a":"\\u0000\\u00e9/\\/",  "n": 1e2 }')

    await fill(store, msgspec.structs.replace(event(1), content=raw))

    assert bytes((await store.log.rows(GARDEN, [Seq(1)]))[Seq(1)].content or b"") == bytes(raw)


@pytest.mark.parametrize(
    "kind", ["message", "edit", "delete", "reaction", "member", "room", "call", "mls"]
)
async def test_every_type_is_kept(store: Store, kind: str) -> None:
    await fill(store, event(1, type=kind))

    assert (await store.log.rows(GARDEN, [Seq(1)]))[Seq(1)].type == kind


async def test_an_append_on_another_head_is_refused_and_told_the_head(store: Store) -> None:
    await fill(store, event(1), event(2))

    refused = await store.log.append(batch(event(2), claims=()))

    assert refused == Refused(Seq(2), {})
    assert seqs((await store.log.read(GARDEN, limit=9))[0]) == [1, 2]


async def test_an_append_ahead_of_the_head_is_refused(store: Store) -> None:
    await fill(store, event(1))

    assert await store.log.append(batch(event(5))) == Refused(Seq(1), {})


async def test_a_taken_claim_is_refused_and_told_even_on_the_right_head(store: Store) -> None:
    await fill(store, event(1))
    again = batch(event(2), claims=(claim(2, "client-1"), claim(2, "client-2")))

    refused = await store.log.append(again)

    assert refused == Refused(Seq(1), {(ALICE, "client-1"): claim(1)})
    assert await store.log.claims(GARDEN, [(ALICE, "client-2")]) == {}


async def test_head_and_claims_are_told_together(store: Store) -> None:
    await fill(store, event(1), event(2))

    refused = await store.log.append(batch(event(1)))

    assert refused == Refused(Seq(2), {(ALICE, "client-1"): claim(1)})


ODD = ['"', "\\", "{a,b}", "NULL", "null", " ", "é😀", "\x01\n", "$1", "\\n"]


@pytest.mark.parametrize("odd", ODD)
async def test_ids_may_be_any_text(store: Store, odd: str) -> None:
    room, bob = RoomId(f"room{odd}"), UserId(odd)
    sent = event(1, room_id=room, id=EventId(odd), sender_id=bob, client_id=odd, device_id=odd)
    await fill(store, sent, event(2, room_id=room, client_id=None), room_id=room)

    again = await store.log.append(
        batch(event(3, room_id=room, at=1_000), room_id=room, claims=(claim(3, odd, bob),))
    )

    assert (await store.log.read(room, limit=1))[0] == [sent]
    assert again == Refused(Seq(2), {(bob, odd): claim(1, odd, bob)})


async def test_the_same_client_id_of_another_sender_or_room_is_free(store: Store) -> None:
    await fill(store, event(1))
    await fill(store, room_id=KITCHEN)

    by_bob = await store.log.append(
        batch(event(2, sender_id=BOB), claims=(claim(2, "client-1", BOB),))
    )
    elsewhere = await store.log.append(batch(event(1, room_id=KITCHEN), room_id=KITCHEN))

    assert (by_bob, elsewhere) == (None, None)


async def test_a_batch_of_claims_alone_is_stored_on_the_head(store: Store) -> None:
    await fill(store, event(1))
    more = Batch(GARDEN, Seq(1), (), (claim(1, "another"),))

    assert await store.log.append(more) is None

    assert await store.log.claims(GARDEN, [(ALICE, "another")]) == {
        (ALICE, "another"): claim(1, "another")
    }
    assert (await store.log.heads([GARDEN]))[GARDEN].head == 1


async def test_a_batch_of_claims_alone_needs_the_head_too(store: Store) -> None:
    await fill(store, event(1))

    refused = await store.log.append(Batch(GARDEN, Seq(0), (), (claim(1, "another"),)))

    assert refused == Refused(Seq(1), {})


async def test_appends_to_a_room_take_effect_in_call_order(store: Store) -> None:
    await fill(store)

    waiting = [store.log.append(batch(event(seq))) for seq in range(1, 51)]

    assert await asyncio.gather(*reversed(waiting)) == [None] * 50
    assert (await store.log.heads([GARDEN]))[GARDEN].head == 50


async def test_of_two_appends_for_one_head_the_first_wins(store: Store) -> None:
    await fill(store)

    first = store.log.append(batch(event(1)))
    second = store.log.append(batch(event(1, sender_id=BOB), claims=(claim(1, "other", BOB),)))

    assert (await first, await second) == (None, Refused(Seq(1), {}))


async def test_the_same_client_id_twice_in_one_turn_is_stored_once(store: Store) -> None:
    await fill(store)

    first = store.log.append(batch(event(1)))
    second = store.log.append(batch(event(2), claims=(claim(2, "client-1"),)))

    assert (await first, await second) == (None, Refused(Seq(1), {(ALICE, "client-1"): claim(1)}))


async def test_a_refused_append_does_not_spoil_those_beside_it(store: Store) -> None:
    rooms = [RoomId(f"room-{i}") for i in range(20)]
    for room in rooms:
        await fill(store, event(1, room_id=room), room_id=room)

    waiting = [
        store.log.append(batch(event(2 if i % 2 else 1, room_id=room), room_id=room))
        for i, room in enumerate(rooms)
    ]

    outcomes = await asyncio.gather(*waiting)
    assert [outcome is None for outcome in outcomes] == [bool(i % 2) for i in range(20)]


async def test_an_append_to_a_room_without_a_log_is_a_mistake(store: Store) -> None:
    with pytest.raises(LookupError):
        await store.log.append(batch(event(1)))


async def test_seqs_that_do_not_follow_the_condition_are_a_mistake(store: Store) -> None:
    await fill(store)

    with pytest.raises(ValueError):
        await store.log.append(batch(event(1), event(3)))


async def test_pages_go_forward_from_a_seq(store: Store) -> None:
    await fill(store, *(event(seq) for seq in range(1, 11)))

    rows, more = await store.log.read(GARDEN, after=Seq(4), limit=3)

    assert (seqs(rows), more) == ([5, 6, 7], True)


async def test_pages_go_back_from_a_seq_in_ascending_order(store: Store) -> None:
    await fill(store, *(event(seq) for seq in range(1, 11)))

    rows, more = await store.log.read(GARDEN, before=Seq(4), limit=2, newest=True)

    assert (seqs(rows), more) == ([2, 3], True)


@pytest.mark.parametrize("newest", [True, False])
async def test_a_page_that_holds_all_has_no_more(store: Store, newest: bool) -> None:
    await fill(store, *(event(seq) for seq in range(1, 5)))

    rows, more = await store.log.read(GARDEN, after=Seq(1), before=Seq(4), limit=2, newest=newest)

    assert (seqs(rows), more) == ([2, 3], False)


@pytest.mark.parametrize(("after", "before"), [(4, None), (9, None), (0, 1), (3, 2), (2, 3)])
async def test_bounds_around_nothing_give_nothing(
    store: Store, after: int, before: int | None
) -> None:
    await fill(store, *(event(seq) for seq in range(1, 5)))

    page = await store.log.read(
        GARDEN, after=Seq(after), before=None if before is None else Seq(before), limit=5
    )

    assert page == ([], False)


async def test_a_room_does_not_read_its_neighbours(store: Store) -> None:
    for room in ("a", "b", "c"):
        await fill(store, event(1, room_id=room), room_id=RoomId(room))

    for newest in (True, False):
        rows, more = await store.log.read(RoomId("b"), limit=5, newest=newest)
        assert ([row.room_id for row in rows], more) == (["b"], False)


async def test_an_unknown_room_reads_as_nothing(store: Store) -> None:
    assert await store.log.read(GARDEN, limit=5) == ([], False)
    assert await store.log.rows(GARDEN, [Seq(1)]) == {}
    assert await store.log.claims(GARDEN, [(ALICE, "client-1")]) == {}
    assert await store.log.targeting(GARDEN, Seq(1), "edit") == []


async def test_the_view_of_messages_leaves_out_the_rest(store: Store) -> None:
    kinds = ["room", "message", "reaction", "reaction", "message", "edit", "message", "member"]
    await fill(store, *(event(seq, type=kind) for seq, kind in enumerate(kinds, 1)))

    forward = await store.log.read(GARDEN, limit=2, messages=True)
    back = await store.log.read(GARDEN, limit=2, newest=True, messages=True)
    last = await store.log.read(GARDEN, after=Seq(5), limit=1, messages=True)

    assert (seqs(forward[0]), forward[1]) == ([2, 5], True)
    assert (seqs(back[0]), back[1]) == ([5, 7], True)
    assert (seqs(last[0]), last[1]) == ([7], False)


async def test_a_page_ends_before_it_gets_too_large(store: Store) -> None:
    await fill(store, *(event(seq, content={"body": "x" * 100}) for seq in range(1, 10)))

    forward = await store.log.read(GARDEN, limit=9, max_bytes=250)
    back = await store.log.read(GARDEN, limit=9, newest=True, max_bytes=250)

    assert (seqs(forward[0]), forward[1]) == ([1, 2], True)
    assert (seqs(back[0]), back[1]) == ([8, 9], True)


async def test_a_page_holds_at_least_one_row(store: Store) -> None:
    await fill(store, event(1, content={"body": "x" * 1000}), event(2))

    rows, more = await store.log.read(GARDEN, limit=9, max_bytes=10)

    assert (seqs(rows), more) == ([1], True)


async def test_single_rows_are_found_by_seq(store: Store) -> None:
    await fill(store, event(1), event(2), event(3))

    rows = await store.log.rows(GARDEN, [Seq(3), Seq(1), Seq(8)])

    assert rows == {1: event(1), 3: event(3)}


async def test_counts_are_those_of_the_rows(store: Store) -> None:
    await fill(store, event(1, n=0), event(2, n=1), event(3, n=1))
    points = [(GARDEN, Seq(seq)) for seq in (0, 1, 2, 3)] + [(KITCHEN, Seq(4))]

    assert await store.log.counts(points) == dict(zip(points, [0, 0, 1, 1, 0], strict=True))


async def test_counts_of_dropped_rows_are_as_of_the_last_that_was_dropped(store: Store) -> None:
    await fill(store, *(event(seq, n=10 * seq) for seq in range(1, 6)))
    await store.log.drop_before(GARDEN, Seq(4))
    points = [(GARDEN, Seq(seq)) for seq in (0, 1, 3, 4, 5)]

    assert list((await store.log.counts(points)).values()) == [0, 30, 30, 40, 50]


async def test_claims_are_found_by_sender_and_client_id(store: Store) -> None:
    await fill(store, event(1), event(2))

    found = await store.log.claims(GARDEN, [(ALICE, "client-1"), (BOB, "client-2"), (ALICE, "x")])

    assert found == {(ALICE, "client-1"): claim(1)}


async def test_the_rows_that_target_a_message_are_found_by_type(store: Store) -> None:
    await fill(
        store,
        event(1),
        event(2, type="edit", target_seq=Seq(1)),
        event(3, type="reaction", target_seq=Seq(1)),
        event(4, type="edit", target_seq=Seq(2)),
        event(5, type="edit", target_seq=Seq(1)),
    )

    assert await store.log.targeting(GARDEN, Seq(1), "edit") == [2, 5]


async def test_blanking_takes_content_and_leaves_the_row(store: Store) -> None:
    sent = event(1, mentions=Mentions(("bob",)), file_ids=("f",), expires_at=9, reply_to=Seq(1))
    await fill(store, sent, event(2))

    await store.log.blank(GARDEN, [Seq(1), Seq(7)], "erased")

    gone = msgspec.structs.replace(sent, content=None, mentions=None, file_ids=(), gone="erased")
    assert await store.log.read(GARDEN, limit=9) == ([gone, event(2)], False)
    assert await store.log.claims(GARDEN, [(ALICE, "client-1")]) == {(ALICE, "client-1"): claim(1)}


async def test_what_is_gone_keeps_its_first_reason(store: Store) -> None:
    await fill(store, event(1))

    await store.log.blank(GARDEN, [Seq(1)], "expired")
    await store.log.blank(GARDEN, [Seq(1)], "deleted")

    assert (await store.log.rows(GARDEN, [Seq(1)]))[Seq(1)].gone == "expired"


async def test_an_append_blanks_what_it_names_with_it(store: Store) -> None:
    await fill(store, event(1), event(2))
    deletion = event(3, type="delete", target_seq=Seq(1), content={})

    await store.log.append(batch(deletion, blanks=((Seq(1), "deleted"), (Seq(2), "erased"))))

    rows, _ = await store.log.read(GARDEN, limit=9)
    assert [row.gone for row in rows] == ["deleted", "erased", None]
    assert [body(row) for row in rows] == [None, None, {}]


async def test_a_refused_append_blanks_nothing(store: Store) -> None:
    await fill(store, event(1))

    await store.log.append(batch(event(1), blanks=((Seq(1), "deleted"),)))

    assert (await store.log.rows(GARDEN, [Seq(1)]))[Seq(1)] == event(1)


async def test_expired_rows_are_due_oldest_first(store: Store) -> None:
    await fill(
        store,
        event(1, expires_at=300),
        event(2),
        event(3, expires_at=100),
        event(4, expires_at=301),
    )

    assert await store.log.due(99, 9) == []
    assert await store.log.due(300, 9) == [(GARDEN, 3), (GARDEN, 1)]
    assert await store.log.due(300, 1) == [(GARDEN, 3)]


async def test_what_is_gone_is_due_no_more(store: Store) -> None:
    await fill(store, event(1, expires_at=100))

    await store.log.blank(GARDEN, [Seq(1)], "expired")

    assert await store.log.due(500, 9) == []


async def test_retention_finds_old_messages_and_edits(store: Store) -> None:
    await fill(
        store,
        event(1, at=30),
        event(2, at=10, type="edit"),
        event(3, at=10, type="member"),
        event(4, at=40),
        event(5, at=20),
    )
    await store.log.blank(GARDEN, [Seq(5)], "deleted")

    assert await store.log.older_than(40, 9) == [(GARDEN, 2), (GARDEN, 1)]
    assert await store.log.older_than(40, 1) == [(GARDEN, 2)]


async def test_dropping_the_oldest_raises_first_seq_and_keeps_the_head(store: Store) -> None:
    await fill(store, *(event(seq) for seq in range(1, 6)))

    await store.log.drop_before(GARDEN, Seq(3))

    assert await store.log.heads([GARDEN]) == {GARDEN: LogHead(LogId("log-1"), Seq(5), Seq(3), 5)}
    assert seqs((await store.log.read(GARDEN, limit=9))[0]) == [3, 4, 5]
    assert await store.log.rows(GARDEN, [Seq(2)]) == {}


async def test_a_log_that_lost_all_its_rows_goes_on_where_it_was(store: Store) -> None:
    await fill(store, event(1), event(2))

    await store.log.drop_before(GARDEN, Seq(99))

    assert await store.log.heads([GARDEN]) == {GARDEN: LogHead(LogId("log-1"), Seq(2), Seq(3), 2)}
    assert await store.log.append(batch(event(3))) is None
    assert seqs((await store.log.read(GARDEN, limit=9))[0]) == [3]


async def test_first_seq_never_goes_back(store: Store) -> None:
    await fill(store, event(1), event(2))
    await store.log.drop_before(GARDEN, Seq(2))

    await store.log.drop_before(GARDEN, Seq(1))

    assert (await store.log.heads([GARDEN]))[GARDEN].first_seq == 2


async def test_a_claim_outlives_its_dropped_event_until_it_is_old(store: Store) -> None:
    await fill(store, event(1), event(2))
    await store.log.drop_before(GARDEN, Seq(2))

    young = await store.log.drop_claims(1_000)
    old = await store.log.drop_claims(1_001)

    assert (young, old) == (0, 1)
    assert set(await store.log.claims(GARDEN, [(ALICE, "client-1"), (ALICE, "client-2")])) == {
        (ALICE, "client-2")
    }


async def test_renewed_logs_have_new_identities_and_the_same_rows(store: Store) -> None:
    await fill(store, event(1))
    await fill(store, room_id=KITCHEN)

    await store.log.renew()

    heads = await store.log.heads([GARDEN, KITCHEN])
    rows, _ = await store.log.read(GARDEN, limit=9)
    assert len({head.log_id for head in heads.values()} - {"log-1"}) == 2
    assert rows == [msgspec.structs.replace(event(1), log_id=heads[GARDEN].log_id)]
    assert await store.log.append(batch(event(2))) is None


async def test_all_rooms_with_a_log_are_listed(store: Store) -> None:
    await fill(store, room_id=KITCHEN)
    await fill(store)

    assert await store.log.room_ids() == [GARDEN, KITCHEN]


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await fill(store)

    await store.close()

    with pytest.raises(Unavailable):
        await store.log.append(batch(event(1)))
    with pytest.raises(Unavailable):
        await store.log.heads([GARDEN])
    for check in store.checks.values():
        with pytest.raises(Unavailable):
            await check()


async def test_a_store_that_can_write_passes_its_checks(store: Store) -> None:
    assert store.checks
    for check in store.checks.values():
        await check()
